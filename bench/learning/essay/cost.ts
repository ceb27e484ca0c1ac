/**
 * Claim 2: the backward pass costs about as much as the forward pass.
 *
 * Multiply-adds are counted at the seam of the kernels. A layer makes one product forward, and two backward: one for its weight, one
 * for what lies below. The first layer needs no second one, as nobody asks about the data. So the ratio is 2 - (share of the
 * first layer), whatever the network. Times are medians, for information: they depend on the machine.
 */

import {
  Conv2d,
  crossEntropy,
  Flatten,
  Generator,
  Linear,
  MaxPool2d,
  type Module,
  noGrad,
  ReLU,
  randn,
  Sequential,
  type Tensor,
} from '../../../src/index.ts';
import { countMultiplyAdds } from '../rules/multiply-adds.ts';
import { median } from './statistics.ts';

export interface Cost {
  readonly network: string;
  readonly batch: number;
  /** Multiply-adds. */
  readonly forward: number;
  readonly backward: number;
  readonly ratio: number;
  /** 2 - (multiply-adds of the first layer) / forward. */
  readonly expected: number;
  /** Milliseconds, medians; null where nothing was timed. */
  readonly time: { readonly forward: number; readonly backward: number; readonly ratio: number } | null;
}

interface Network {
  readonly name: string;
  readonly input: readonly number[];
  readonly first: () => Module;
  readonly rest: () => Module[];
}

const dense = (name: string, widths: readonly number[]): Network => ({
  name,
  input: [widths[0]!],
  first: () => new Linear(widths[0]!, widths[1]!),
  rest: () => widths.slice(2).flatMap((to, l) => [new ReLU(), new Linear(widths[l + 1]!, to)]),
});

const NETWORKS: readonly Network[] = [
  dense('784-256-128-10', [784, 256, 128, 10]),
  dense(
    'nine layers of 128',
    Array.from({ length: 10 }, () => 128),
  ),
  dense('two layers of 128', [128, 128, 128]),
  {
    name: 'convolutions 16 and 32, linear',
    input: [1, 28, 28],
    first: () => new Conv2d(1, 16, 3, { padding: 1 }),
    rest: () => [
      new ReLU(),
      new MaxPool2d(2),
      new Conv2d(16, 32, 3, { padding: 1 }),
      new ReLU(),
      new MaxPool2d(2),
      new Flatten(),
      new Linear(32 * 7 * 7, 10),
    ],
  },
];

/** Costs of all networks; `repetitions` 0: nothing is timed. */
export function cost({ batch = 64, repetitions = 40 }: { batch?: number; repetitions?: number } = {}): Cost[] {
  return NETWORKS.map(({ name, input, first, rest }) => {
    const bottom = first();
    const model = new Sequential(bottom, ...rest());
    const x = randn([batch, ...input], { generator: new Generator(1) });
    const classes = noGrad(() => model.forward(x)).shape[1]!;
    const labels = Int32Array.from({ length: batch }, (_, i) => i % classes);
    const lossOf = (): Tensor => crossEntropy(model.forward(x), labels);
    const { multiplyAdds: own } = countMultiplyAdds(() => noGrad(() => (bottom as Linear | Conv2d).forward(x)));
    const { result: loss, multiplyAdds: forward } = countMultiplyAdds(lossOf);
    const { multiplyAdds: backward } = countMultiplyAdds(() => loss.backward());
    const ratio = backward / forward;
    return { network: name, batch, forward, backward, ratio, expected: 2 - own / forward, time: timed() };

    function timed(): Cost['time'] {
      if (repetitions === 0) return null;
      const [there, back]: [number[], number[]] = [[], []];
      for (let i = -5; i < repetitions; i++) {
        model.zeroGrad();
        const start = performance.now();
        const loss = lossOf();
        const middle = performance.now();
        loss.backward();
        const end = performance.now();
        if (i < 0) continue; // the engine still compiles
        there.push(middle - start);
        back.push(end - middle);
      }
      const [a, b] = [median(there), median(back)];
      return { forward: a, backward: b, ratio: b / a };
    }
  });
}
