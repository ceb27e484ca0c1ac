/** What PyTorch computed, as test/golden/generate.py writes it. GOLDEN_DIR names another folder with the same files. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env.GOLDEN_DIR ?? join(import.meta.dirname, '../golden');

export const readGolden = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), 'utf8'));

export interface Packed {
  shape: number[];
  data: number[];
}

export const goldenOptimizers = readGolden('optimizers.json') as {
  optimizers: {
    optimizer: string;
    args: Record<string, unknown>;
    w0: number[];
    c: number[];
    trajectory: number[][];
  }[];
  schedulers: { scheduler: string; args: Record<string, number>; base_lr: number; lrs: number[] }[];
};

export const goldenTraining = readGolden('training.json') as {
  x: Packed;
  y: Packed;
  batch: number;
  runs: {
    optimizer: string;
    args: Record<string, unknown>;
    init: Record<string, Packed>;
    losses: number[];
    final: Record<string, Packed>;
  }[];
};
