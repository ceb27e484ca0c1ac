/**
 * Four training runs of 200 steps, the same wherever they run: an MLP and a CNN, under SGD and Adam, with dropout, both kinds
 * of normalization, schedules and shuffled batches, everything drawn from seeded generators. All weights are hashed at the end,
 * so one bit that differs anywhere on the way shows.
 *
 * The library is an argument: the source under the tests, a bundle in a page, the packed package.
 */
import type * as Palimpsest from '../../src/index.ts';

type Library = typeof Palimpsest;

export interface Outcome {
  readonly losses: number[];
  /** SHA-256 of the bits of all tensors of the network, in hexadecimal. */
  readonly hash: string;
}

export const runNames = ['MLP under SGD', 'MLP under Adam', 'CNN under SGD', 'CNN under Adam'] as const;
export type RunName = (typeof runNames)[number];
const steps = 200;
const [examples, side, classes] = [96, 8, 5];

function network(p: Library, kind: 'MLP' | 'CNN', generator: Palimpsest.Generator): Palimpsest.Module {
  if (kind === 'MLP')
    return new p.Sequential(
      new p.Flatten(),
      new p.Linear(side * side, 33, { generator }),
      new p.LayerNorm(33),
      new p.GELU(),
      new p.Dropout(0.2, { generator }),
      new p.Linear(33, 17, { generator }),
      new p.Tanh(),
      new p.Linear(17, classes, { generator }),
    );
  return new p.Sequential(
    new p.Conv2d(1, 6, 3, { padding: 1, generator }),
    new p.BatchNorm2d(6),
    new p.ReLU(),
    new p.Conv2d(6, 7, 3, { padding: 1, generator }),
    new p.SiLU(),
    new p.MaxPool2d(2),
    new p.AvgPool2d(2),
    new p.Flatten(),
    new p.Dropout(0.25, { generator }),
    new p.Linear(28, classes, { generator }),
  );
}

/** Trains, and gives the network's tensors with the losses on the way. */
function train(p: Library, name: RunName): { losses: number[]; tensors: Palimpsest.StateDict } {
  const generator = new p.Generator(20261120);
  const images = p.randn([examples, 1, side, side], { generator });
  const labels = new p.Indices(
    [examples],
    Int32Array.from({ length: examples }, () => generator.integer(classes)),
  );
  const model = network(p, name.startsWith('MLP') ? 'MLP' : 'CNN', generator);
  const optimizer = name.endsWith('SGD')
    ? new p.SGD(model.parameters(), { lr: 0.05, momentum: 0.9, nesterov: true, weightDecay: 1e-3 })
    : new p.Adam(model.parameters(), { lr: 0.01, weightDecay: 1e-3 });
  const schedule = new p.CosineAnnealingLR(optimizer, { tMax: steps });
  const losses: number[] = [];
  while (losses.length < steps) {
    for (const rows of p.batches(examples, 16, { generator })) {
      if (losses.length === steps) break;
      const batch = new p.Indices([rows.length], rows);
      const wanted = new p.Indices(
        [rows.length],
        rows.map((row) => labels.data[row]!),
      );
      const loss = p.crossEntropy(model.forward(p.indexSelect(images, 0, batch)), wanted, { labelSmoothing: 0.05 });
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      schedule.step();
      losses.push(loss.item());
    }
  }
  return { losses, tensors: model.stateDict() };
}

/** SHA-256 of arrays of 32-bit numbers, one after the other, in hexadecimal. */
export async function hashOf(arrays: readonly (Float32Array | Int32Array)[]): Promise<string> {
  const bytes = new Uint8Array(arrays.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const { buffer, byteOffset, byteLength } of arrays) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Trains with the kernels that are active, and hashes what came of it. */
export async function outcomeOf(p: Library, name: RunName): Promise<Outcome> {
  const { losses, tensors } = train(p, name);
  return { losses, hash: await hashOf(Object.values(tensors).map((one) => one.toFloat32Array())) };
}
