/**
 * Interference: what a step of learning does to an output that was right already.
 *
 * A chain 1 - 1 - ... - 1 - 2 of linear layers, all weights w, one sample: one output is wrong, the other right. The weights
 * below are shared, so correcting the one moves the other. Backpropagation computes each weight's change as if nothing else
 * changed; prospective configuration first finds values at which both outputs are right, and so compensates (Song et al.
 * 2024, fig. 1 and 2). How well is the cosine between what the outputs did and what they should have done.
 */
import { attachRules, backward, Linear, noGrad, Sequential, SGD, target, tensor } from '../../../src/index.ts';
import { prospectiveConfiguration } from '../../../src/rules/predictive/rule.ts';

export interface Interference {
  /** Hidden values between input and outputs. */
  readonly depth: number;
  readonly rule: 'backpropagation' | 'prospective configuration';
  /** How far the wrong output went, as a part of what it misses. */
  readonly progress: number;
  /** How far the right one went astray, on the same scale: above 0 along with the other, below 0 against it. */
  readonly drift: number;
  /** cos(change of the outputs, target - outputs). */
  readonly alignment: number;
}

export interface InterferenceOptions {
  readonly depths?: readonly number[];
  /** Of SGD, for both. */
  readonly learningRate?: number;
  /** Every weight at first. */
  readonly weight?: number;
}

/** One step of each rule at each depth. */
export function interference({
  depths = [1, 2, 3, 4, 5],
  learningRate = 0.01,
  weight = 1,
}: InterferenceOptions = {}): Interference[] {
  return depths.flatMap((depth) =>
    (['backpropagation', 'prospective configuration'] as const).map((rule) => {
      const widths = [...Array.from({ length: depth + 1 }, () => 1), 2];
      const net = new Sequential(
        ...widths.slice(1).map((to, i) => new Linear(widths[i] as number, to, { bias: false })),
      );
      for (const w of net.parameters()) noGrad(() => w.fill_(weight));
      const x = tensor([[1]]);
      const outputs = () => noGrad(() => net.forward(x)).toFloat32Array();
      const before = outputs();
      const missing = -(before[0] as number);
      const wanted = tensor([[0, before[1] as number]]);
      const precision = rule === 'backpropagation' ? 1 : Infinity;
      if (rule !== 'backpropagation')
        attachRules(net, prospectiveConfiguration({ rate: 0.2, tolerance: 1e-6, maxSteps: 5000 }));
      backward(target(net.forward(x), wanted, { precision }));
      new SGD(net.parameters(), { lr: learningRate }).step();
      const after = outputs();
      const [moved, drift] = [
        (after[0] as number) - (before[0] as number),
        (after[1] as number) - (before[1] as number),
      ];
      return {
        ...{ depth, rule, progress: moved / missing, drift: drift / missing },
        alignment: (moved * Math.sign(missing)) / Math.hypot(moved, drift),
      };
    }),
  );
}

/** The same as a table in Markdown. */
export function interferenceTable(rows: readonly Interference[]): string {
  const cells = rows.map(({ depth, rule, progress, drift, alignment }) => [
    ...[
      String(depth),
      rule,
      progress.toFixed(3),
      drift.toFixed(3),
      (drift / progress).toFixed(3),
      alignment.toFixed(3),
    ],
  ]);
  const head = ['hidden values', 'rule', 'progress', 'drift', 'drift / progress', 'alignment'];
  return [head, head.map(() => '---'), ...cells].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
