/** Where targets come from: the seeds, and the hard output layers with their rules. */
import { describe, expect, it } from 'vitest';
import type { Seed } from '../../../src/autograd/backward.ts';
import {
  backward,
  crossEntropy,
  feasible,
  gradients,
  inboxOf,
  linear,
  mseLoss,
  parameter,
  relu,
  type Tensor,
  target,
  tensor,
  withRules,
} from '../../../src/index.ts';
import { binarize, winners } from '../../../src/ops/winner.ts';
import {
  binaryTarget,
  nHotTarget,
  oneHotTarget,
  targetBinarize,
  targetFromLoss,
  targetWinners,
} from '../../../src/rules/target/outputs.ts';
import { targetPropagation } from '../../../src/rules/target/propagation.ts';
import { expectClose, expectRefused, flat, untyped } from '../../ops/numbers.ts';
import { asked, normal } from './networks.ts';

/** Where a seed wants logits to be. */
function goal(logits: Tensor, seedFor: (logits: Tensor) => Seed): number[][] {
  const leaf = logits.detach().requiresGrad_();
  backward(seedFor(leaf));
  return leaf.detach().add(inboxOf(leaf)!.step()).toArray() as number[][];
}

describe('seeds of classes', () => {
  const logits = tensor([
    [0.25, 2, -3],
    [0.5, -0.5, 1.5],
  ]);

  it('as a hinge ask the right class to be at least 1 and the others at most 0', () => {
    const expected = [
      [0, 2, -3],
      [1, -0.5, 0],
    ];
    expect(goal(logits, (x) => oneHotTarget(x, [1, 0]))).toEqual(expected);
    expect(goal(logits, (x) => oneHotTarget(x, Int32Array.of(1, 0), { form: 'hinge' }))).toEqual(expected);
  });

  it('raw ask for 1 and 0', () => {
    expect(goal(logits, (x) => oneHotTarget(x, [1, 0], { form: 'raw' }))).toEqual([
      [0, 1, 0],
      [1, 0, 0],
    ]);
  });

  it('of several classes say them by number or by 0 and 1', () => {
    const expected = [
      [1, 2, -3],
      [0, 1, 1.5],
    ];
    expect(
      goal(logits, (x) =>
        nHotTarget(x, [
          [0, 1],
          [1, 2],
        ]),
      ),
    ).toEqual(expected);
    const bits = tensor([
      [1, 1, 0],
      [0, 1, 1],
    ]);
    expect(goal(logits, (x) => nHotTarget(x, bits))).toEqual(expected);
    expect(goal(logits, (x) => nHotTarget(x, bits, { form: 'raw' }))).toEqual(bits.toArray());
  });

  it('carry their precision', () => {
    const leaf = logits.detach().requiresGrad_();
    backward(oneHotTarget(leaf, [1, 0], { precision: tensor([[2], [3]]) }));
    expect(inboxOf(leaf)!.precision().toArray()).toEqual([[2], [3]]);
    expectClose(leaf.grad!, [
      [0.5, 0, 0],
      [-1.5, 0, 4.5],
    ]);
  });
});

describe('seeds of bits', () => {
  const logits = tensor([[3, 1, -1, 5]]); // mean 2: 1, -1, -3, 3 from it
  const bits = tensor([[1, 1, 0, 0]]);

  it('centred judge a sample by its own mean', () => {
    const from = [1, -1, -3, 3];
    const to = [1, 1, -3, 0];
    expect(goal(logits, (x) => binaryTarget(x, bits))[0]).toEqual([3, 1, -1, 5].map((x, i) => x + to[i]! - from[i]!));
  });

  it('with a margin judge each by its sign', () => {
    expect(goal(logits, (x) => binaryTarget(x, bits, { form: 'margin' }))).toEqual([[3, 1, -1, -1]]);
    expect(goal(logits, (x) => binaryTarget(x, bits, { form: 'margin', margin: 2 }))).toEqual([[3, 2, -2, -2]]);
  });
});

describe('a target taken from a loss', () => {
  const logits = normal([4, 3], 1);
  const labels = [0, 2, 1, 1];

  it('lies gamma down the gradient of the own loss of each sample, however the loss sums them', () => {
    const each = logits.detach().requiresGrad_();
    const [g] = gradients(crossEntropy(each, labels, { reduction: 'sum' }), [each]);
    const expected = flat(logits.sub(g!.mul(0.7)));
    const seeds = [
      (x: Tensor) => targetFromLoss(x, crossEntropy(x, labels), { gamma: 0.7 }),
      (x: Tensor) => targetFromLoss(x, crossEntropy(x, labels, { reduction: 'sum' }), { gamma: 0.7, reduction: 'sum' }),
      (x: Tensor) => targetFromLoss(x, crossEntropy(x, labels, { reduction: 'none' }), { gamma: 0.7 }),
    ];
    for (const seedFor of seeds) expectClose(goal(logits, seedFor).flat(), expected, 1e-6);
  });

  it('leaves no gradient behind, and asks no rule between loss and logits', () => {
    const w = parameter(normal([3, 2], 2));
    const x = normal([4, 2], 3);
    const never = { name: 'never', accepts: 'any', surrogate: true, propagate: () => expect.unreachable() } as const;
    const [y, loss] = withRules({ ...targetPropagation(), crossEntropy: never }, () => {
      const out = linear(x, w);
      return [out, crossEntropy(out, labels)] as const;
    });
    const seed = targetFromLoss(y, loss);
    expect(w.grad).toBe(null);
    backward(seed);
    expect(inboxOf(w)!.kind).toBe('target');
  });

  it('is what backward reads of the mean loss by its stiffness, up to that mean', () => {
    const step = (send: (y: Tensor, loss: Tensor) => void) => {
      const w = parameter(normal([3, 2], 2));
      const y = withRules(targetPropagation(), () => linear(normal([4, 2], 3), w));
      send(y, crossEntropy(y, labels));
      return asked(w);
    };
    expectClose(
      step((y, loss) => backward(targetFromLoss(y, loss, { gamma: 2 }))),
      step((_, loss) => backward(loss, { stiffness: 1 / 4 / 2 })),
      1e-5,
    );
  });
});

describe('winners', () => {
  it('are the n largest of a row, the first of equals', () => {
    const x = tensor([
      [3, 1, 2],
      [0, 0, 0],
    ]);
    expect(winners(x).toArray()).toEqual([
      [1, 0, 0],
      [1, 0, 0],
    ]);
    expect(winners(x, 2).toArray()).toEqual([
      [1, 0, 1],
      [1, 1, 0],
    ]);
    expect(winners(x, 3).toArray()).toEqual([
      [1, 1, 1],
      [1, 1, 1],
    ]);
    expect(winners(tensor([1, Number.NaN, Infinity, -Infinity]), 2).toArray()).toEqual([0, 1, 1, 0]);
    expect(winners(tensor([], [0, 3]), 2).shape).toEqual([0, 3]);
    expect(winners(tensor([[[1, 2]], [[4, 3]]]).transpose(0, 2)).toArray()).toEqual([[[0, 1]], [[0, 1]]]);
  });

  it('pass gradients straight through, and say they are a surrogate', () => {
    const x = tensor([[3, 1, 2]]).requiresGrad_();
    winners(x, 1).backward(tensor([[5, 6, 7]]));
    expect(x.grad!.toArray()).toEqual([[5, 6, 7]]);
    expect(() => gradients(winners(x, 1).sum(), [x], { createGraph: true })).toThrow('surrogate');
  });

  it('can produce the nearest choice of n', () => {
    const x = tensor([[3, 1, 2]]).requiresGrad_();
    expect(feasible(winners(x, 2), tensor([[0.1, 0.4, 0.3]]))).toMatchObject({ is: 'exact' });
    expect(feasible(winners(x, 2), tensor([[0.1, 0.4, 0.3]])).value.toArray()).toEqual([[0, 1, 1]]);
  });

  it('take a target that is no choice of n for the nearest one', () => {
    const x = tensor([[0.5, 2, -1]]).requiresGrad_();
    const y = withRules({ winners: targetWinners() }, () => winners(x, 1));
    backward(target(y, tensor([[0.3, 0.2, 0.4]])));
    expect(inboxOf(x)!.step().toArray()).toEqual([[-0.5, -2, 2]]);
    expect(feasible(y, tensor([[0.3, Number.NaN, 0.4]])).value.toArray()).toEqual([[0, Number.NaN, 0]]);
  });

  it('with their rule are the seeds of classes', () => {
    const logits = normal([5, 4], 7);
    for (const [n, chosen] of [
      [1, [[0], [1], [2], [3], [0]]],
      [
        2,
        [
          [0, 1],
          [3, 1],
          [2, 0],
          [3, 0],
          [2, 3],
        ],
      ],
    ] as const) {
      const bits = tensor(
        chosen.map((list) => [0, 1, 2, 3].map((c) => ((list as readonly number[]).includes(c) ? 1 : 0))),
      );
      const leaf = logits.detach().requiresGrad_();
      const y = withRules({ winners: targetWinners() }, () => winners(leaf, n));
      backward(target(y, bits, { precision: 0.5 }));
      const expected = goal(logits, (x) => nHotTarget(x, bits));
      expectClose(leaf.detach().add(inboxOf(leaf)!.step()), expected, 1e-6);
      expect(inboxOf(leaf)!.precision().toArray()).toBe(0.5);
    }
  });
});

describe('binarize', () => {
  it('gives 1 above the mean of a row', () => {
    expect(
      binarize(
        tensor([
          [1, 2, 6],
          [4, 4, 4],
        ]),
      ).toArray(),
    ).toEqual([
      [0, 0, 1],
      [0, 0, 0],
    ]);
    expect(binarize(tensor([])).toArray()).toEqual([]);
  });

  it('passes gradients straight through', () => {
    const x = tensor([[3, 1, 2]]).requiresGrad_();
    binarize(x).backward(tensor([[5, 6, 7]]));
    expect(x.grad!.toArray()).toEqual([[5, 6, 7]]);
    expect(() => gradients(binarize(x).sum(), [x], { createGraph: true })).toThrow('surrogate');
  });

  it('can produce any bits but all ones', () => {
    const y = binarize(tensor([[1, 2, 6]]).requiresGrad_());
    const nearest = (wished: number[]) => feasible(y, tensor([wished])).value.toArray();
    expect(nearest([0.9, 0.2, 7])).toEqual([[1, 0, 1]]);
    expect(nearest([0.9, 0.8, 7])).toEqual([[1, 0, 1]]);
    expect(nearest([-1, 0, 0.5])).toEqual([[0, 0, 0]]);
    expect(nearest([Number.NaN, 0, 1])).toEqual([[Number.NaN, 0, 1]]);
  });

  it('with its rule is the centred seed', () => {
    const logits = normal([5, 4], 8);
    const bits = tensor([
      [1, 0, 0, 1],
      [0, 0, 0, 0],
      [1, 0, 1, 1],
      [0, 1, 0, 0],
      [1, 1, 0, 0],
    ]);
    const leaf = logits.detach().requiresGrad_();
    backward(
      target(
        withRules({ binarize: targetBinarize() }, () => binarize(leaf)),
        bits,
      ),
    );
    expectClose(
      leaf.detach().add(inboxOf(leaf)!.step()),
      goal(logits, (x) => binaryTarget(x, bits)),
      1e-6,
    );
  });
});

it('a network that ends in winners learns a sample by one step in full', () => {
  const [w1, w2] = [parameter(normal([6, 4], 1)), parameter(normal([3, 6], 2))];
  const x = normal([1, 4], 3);
  const forward = () => withRules(targetPropagation(), () => winners(linear(relu(linear(x, w1)), w2)));
  for (const label of [0, 1, 2]) {
    const wanted = [0, 1, 2].map((c) => (c === label ? 1 : 0));
    backward(target(forward(), tensor([wanted])));
    for (const w of [w1, w2]) {
      w.requiresGrad_(true);
      const moved = w.detach().add(inboxOf(w)!.step());
      w.grad = null;
      w.requiresGrad_(false);
      w.copy_(moved);
      w.requiresGrad_(true);
    }
    expect(forward().toArray()).toEqual([wanted]);
  }
});

it('refuses what does not fit, with sentences', () => {
  const logits = normal([2, 3], 1).requiresGrad_();
  const say = untyped(oneHotTarget);
  const loss = mseLoss(logits, 0);
  const other = normal([2, 3], 2).requiresGrad_();
  expectRefused([
    ["oneHotTarget: form is 'hinge' or 'raw', not soft.", () => say(logits, [0, 1], { form: 'soft' })],
    ['oneHotTarget: index 3 at position 1 is outside 0 to 2.', () => oneHotTarget(logits, [0, 3])],
    [
      'oneHotTarget: answers of shape [3, 3] do not fit logits of shape [2, 3]: one for each.',
      () => oneHotTarget(logits, [0, 1, 2]),
    ],
    ['oneHotTarget: logits are of shape [..., classes], not a scalar.', () => oneHotTarget(tensor(1), [0])],
    [
      'nHotTarget: winners of shape [3, 1] do not fit logits of shape [2, 3]: a list of winners for each sample.',
      () => nHotTarget(logits, [[0], [1], [2]]),
    ],
    [
      'nHotTarget: answers are 0 or 1. Shares and other numbers are targets as they are: target(logits, wanted).',
      () =>
        nHotTarget(
          logits,
          tensor([
            [0.5, 0.5, 0],
            [0, 0, 1],
          ]),
        ),
    ],
    [
      "binaryTarget: form is 'centred' or 'margin', not odd.",
      () => untyped(binaryTarget)(logits, other.gt(0), { form: 'odd' }),
    ],
    [
      'binaryTarget: margin is a number of at least 0, not -1.',
      () => binaryTarget(logits, other.gt(0), { margin: -1 }),
    ],
    ['targetFromLoss: gamma is a number of at least 0, not -2.', () => targetFromLoss(logits, loss, { gamma: -2 })],
    [
      "targetFromLoss: reduction is 'mean' or 'sum', not none.",
      () => untyped(targetFromLoss)(logits, loss, { reduction: 'none' }),
    ],
    [
      'targetFromLoss: a loss of shape [3] for logits of shape [2, 3]: it is one number, or one for each sample.',
      () => targetFromLoss(logits, logits.sum(0)),
    ],
    [
      'targetFromLoss: the loss was not computed from these logits, so it says nothing about them.',
      () => targetFromLoss(other, loss),
    ],
    [
      'winners: 4 of a row of x [2, 3]: the number of winners is whole, from 1 to the size of the last axis.',
      () => winners(logits, 4),
    ],
    [
      'targetWinners: this is a rule for the op winners, and it was put at relu.',
      () =>
        backward(
          target(
            withRules({ '*': targetWinners() }, () => relu(logits)),
            other.detach(),
          ),
        ),
    ],
  ]);
});
