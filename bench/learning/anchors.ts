/**
 * Anchors over the decades: how near a weight comes to the optimum of loss and anchor, with the anchor applied as a part of
 * the gradient (explicit) and as a spring (implicit), as learning rate times lambda Omega grows. Data for a plot.
 *
 * The loss is 1/2 (w - 1)^2, the anchor stands at 0 with precision p, so the optimum is 1 / (1 + p). The weight starts
 * at 1, the optimum of the loss alone. `distance` is how far it is from it after the steps (null: past all floats), `loss` what the
 * penalised loss 1/2 (w - 1)^2 + p/2 w^2 is above its minimum.
 *
 *     npx tsx bench/learning/anchors.ts docs/results/anchors.json
 *
 * draws the same beside it, as anchors.svg.
 */

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Adam, ones, parameter, SGD, zeros } from '../../src/index.ts';
import { anchor } from '../../src/state/anchor.ts';
import { linePlot, type Point, standalone } from './rules/charts.ts';

const STEPS = 200;
const LEARNING_RATE = 0.01;
const DECADES = [-3, -2, -1, 0, 1, 2, 3, 4, 5, 6];
/** Points between decades, close to where the explicit step turns over. */
const STRENGTHS = [...DECADES.map((decade) => 10 ** decade), 0.5, 1.9, 2.1, 3].sort((a, b) => a - b);

const OPTIMIZERS = { SGD, Adam } as const;

export interface AnchorPoint {
  optimizer: keyof typeof OPTIMIZERS;
  step: 'explicit' | 'implicit';
  /** Learning rate times lambda Omega. */
  strength: number;
  optimum: number;
  distance: number | null;
  loss: number | null;
}

export function anchorPoint(
  optimizer: AnchorPoint['optimizer'],
  step: AnchorPoint['step'],
  strength: number,
): AnchorPoint {
  const precision = strength / LEARNING_RATE;
  const optimum = 1 / (1 + precision);
  const w = parameter(ones([1]));
  anchor(w, { at: zeros([1]), precision, step });
  const trained = new OPTIMIZERS[optimizer]([w], { lr: LEARNING_RATE });
  for (let i = 0; i < STEPS; i++) {
    trained.zeroGrad();
    w.sub(1).square().sum().mul(0.5).backward();
    trained.step();
  }
  const away = w.item() - optimum;
  const finite = (x: number): number | null => (Number.isFinite(x) ? x : null);
  return {
    optimizer,
    step,
    strength,
    optimum,
    distance: finite(Math.abs(away)),
    loss: finite(((1 + precision) * away * away) / 2),
  };
}

export function anchorsOverDecades(): AnchorPoint[] {
  return (['SGD', 'Adam'] as const).flatMap((optimizer) =>
    (['explicit', 'implicit'] as const).flatMap((step) =>
      STRENGTHS.map((strength) => anchorPoint(optimizer, step, strength)),
    ),
  );
}

/** Distances in powers of ten, cut at both ends: what is nearer than float32 resolves, and what runs away. */
function picture(points: readonly AnchorPoint[]): string {
  const names = [...new Set(points.map(({ optimizer, step }) => `${optimizer}, ${step}`))];
  const [nearest, farthest] = [-9, 6];
  const power = (distance: number | null): number =>
    Math.min(farthest, Math.max(nearest, Math.log10(distance ?? Number.POSITIVE_INFINITY)));
  return standalone(
    linePlot({
      label: `Distance from the optimum after ${STEPS} steps, by learning rate times lambda Omega, both as powers of ten`,
      lines: names.map((name) => ({
        name,
        points: points
          .filter(({ optimizer, step }) => `${optimizer}, ${step}` === name)
          .map(({ strength, distance }): Point => [Math.log10(strength), power(distance)]),
      })),
      xTitle: 'log10 of learning rate times lambda Omega',
      yTitle: `log10 of the distance from the optimum after ${STEPS} steps`,
      xFrom: -3,
      from: nearest,
      to: farthest,
      interval: 3,
    }),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const points = anchorsOverDecades();
  for (const { optimizer, step, strength, distance } of points)
    console.log(
      `${optimizer.padEnd(5)}${step}  ${strength.toExponential(1)}  ${distance?.toExponential(2) ?? 'diverged'}`,
    );
  const [, , path] = process.argv;
  const result = { experiment: 'anchors', steps: STEPS, learningRate: LEARNING_RATE, node: process.version, points };
  if (path !== undefined) {
    writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`);
    writeFileSync(path.replace(/\.json$/, '.svg'), picture(points));
  }
}
