/** Losses: logits far out, impossible classes, empty batches, labels that change later, refusals. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, noTensors, slope, slopes, untyped } from './numbers.ts';

const { tensor, zeros, crossEntropy, nllLoss, mseLoss, l1Loss } = p;
const inf = Infinity;

describe('crossEntropy', () => {
  it('takes logits of any size', () => {
    expectClose(crossEntropy(tensor([[1e4, -1e4]]), [0]), 0);
    expectClose(crossEntropy(tensor([[1e4, -1e4]]), [1]), 2e4);
    expectClose(
      slope((x) => crossEntropy(x, [1]), [[1e4, -1e4]]),
      [[1, -1]],
    );
    expectClose(crossEntropy(tensor([[1e4, -1e4]]), tensor([[0.5, 0.5]])), 1e4);
  });

  it('an impossible class costs nothing, unless it is the label', () => {
    const x = [[0, -inf, 0]];
    expectClose(crossEntropy(tensor(x), [0]), Math.LN2);
    expectClose(
      slope((y) => crossEntropy(y, [0]), x),
      [[-0.5, 0, 0.5]],
    );
    expectClose(crossEntropy(tensor(x), [1]), inf);
    expectClose(crossEntropy(tensor([[NaN, 0]]), [1]), NaN);
  });

  it('reduces by mean, sum or not at all, value and gradient', () => {
    const x = [
      [0, 0],
      [0, 0],
      [0, 0],
    ];
    const labels = [0, 1, 1];
    const half = [
      [-0.5, 0.5],
      [0.5, -0.5],
      [0.5, -0.5],
    ];
    expectClose(crossEntropy(tensor(x), labels), Math.LN2);
    expectClose(crossEntropy(tensor(x), labels, { reduction: 'sum' }), 3 * Math.LN2);
    expectClose(crossEntropy(tensor(x), labels, { reduction: 'none' }), [Math.LN2, Math.LN2, Math.LN2]);
    expectClose(
      slope((y) => crossEntropy(y, labels), x),
      half.map((row) => row.map((g) => g / 3)),
    );
    expectClose(
      slope((y) => crossEntropy(y, labels, { reduction: 'sum' }), x),
      half,
    );
    const weight = tensor([1, 2, 3]);
    expectClose(
      slope((y) => crossEntropy(y, labels, { reduction: 'none' }).mul(weight), x),
      half.map((row, i) => row.map((g) => g * (i + 1))),
    );
  });

  it('smooth labels are soft targets', () => {
    const x = tensor([
      [0.3, -1, 2],
      [1, 1, -4],
    ]);
    const soft = p.oneHot([2, 0], 3).mul(0.7).add(0.1).detach();
    for (const reduction of ['mean', 'sum', 'none'] as const) {
      expectClose(
        crossEntropy(x, [2, 0], { labelSmoothing: 0.3, reduction }),
        crossEntropy(x, soft, { reduction }),
        1e-5,
      );
      const of = (target: p.Tensor | number[], labelSmoothing: number) =>
        slope((y) => crossEntropy(y, target, { labelSmoothing, reduction }), x.toArray());
      expectClose(of([2, 0], 0.3), of(soft, 0), 1e-5);
    }
    expectClose(crossEntropy(x, p.oneHot([2, 0], 3), { labelSmoothing: 0.3 }), crossEntropy(x, soft), 1e-5);
  });

  it('takes labels in any form', () => {
    const x = tensor([
      [0.3, -1, 2],
      [1, 1, -4],
    ]);
    const expected = crossEntropy(x, [2, 0]).item();
    for (const labels of [Int32Array.of(2, 0), new p.Indices([2], Int32Array.of(2, 0)), p.argmax(x, 1)])
      expect(crossEntropy(x, labels).item()).toBe(expected);
    const single = tensor([0.3, -1, 2]);
    expectClose(crossEntropy(single, [2]), crossEntropy(x.slice([[0, 1]]), [2]));
    expect(crossEntropy(single, p.argmax(single), { reduction: 'none' }).shape).toEqual([]);
  });

  it('works for every pixel of an image', () => {
    const x = p.arange(24).mul(0.9).sin().reshape([2, 3, 2, 2]).detach();
    const labels = [
      [
        [0, 1],
        [2, 0],
      ],
      [
        [1, 1],
        [2, 2],
      ],
    ];
    const rows = x.permute([0, 2, 3, 1]).reshape([8, 3]).detach();
    const flatLabels = labels.flat(2);
    expectClose(crossEntropy(x, labels), crossEntropy(rows, flatLabels));
    const each = crossEntropy(x, labels, { reduction: 'none' });
    expect(each.shape).toEqual([2, 2, 2]);
    expectClose(each, crossEntropy(rows, flatLabels, { reduction: 'none' }));
    const gradient = slope((y) => crossEntropy(y, labels), x.toArray());
    const expected = tensor(slope((y) => crossEntropy(y, flatLabels), rows.toArray()));
    expectClose(gradient, expected.reshape([2, 2, 2, 3]).permute([0, 3, 1, 2]));
    expectClose(nllLoss(p.logSoftmax(x, 1), labels), crossEntropy(x, labels));
    expectClose(
      crossEntropy(x, p.oneHot(flatLabels, 3).reshape([2, 2, 2, 3]).permute([0, 3, 1, 2])),
      crossEntropy(x, labels),
    );
  });

  it('does not follow labels that change after the call', () => {
    for (const make of [(data: Int32Array) => data, (data: Int32Array) => new p.Indices([1], data)]) {
      const data = Int32Array.of(0);
      const x = zeros([1, 2]).requiresGrad_();
      const loss = crossEntropy(x, make(data));
      data[0] = 1;
      loss.backward();
      expect(x.grad!.toArray()).toEqual([[-0.5, 0.5]]);
    }
  });

  it('of an empty batch: mean NaN, sum 0, none nothing', () => {
    const x = zeros([0, 3]).requiresGrad_();
    expectClose(crossEntropy(x, []), NaN);
    expectClose(crossEntropy(x, [], { reduction: 'sum' }), 0);
    expect(crossEntropy(x, [], { reduction: 'none' }).shape).toEqual([0]);
    crossEntropy(x, []).backward();
    expect(x.grad!.shape).toEqual([0, 3]);
  });

  it('says what is wrong', () => {
    const x = zeros([2, 3]);
    expectRefused([
      ['crossEntropy: index 3 at position 1 is outside 0 to 2.', () => crossEntropy(x, [0, 3])],
      ['crossEntropy: index -1 at position 0 is outside 0 to 2.', () => crossEntropy(x, Int32Array.of(-1, 0))],
      [
        'crossEntropy: indices are whole numbers in lists of equal length, not 0.5 at position 1.',
        () => crossEntropy(x, [0, 0.5]),
      ],
      [
        'crossEntropy: indices are whole numbers in lists of equal length, not NaN at position 0.',
        () => crossEntropy(x, [NaN, 0]),
      ],
      [
        'crossEntropy: index 0 at position 0, but there is nothing to index: that axis has size 0.',
        () => crossEntropy(zeros([1, 0]), [0]),
      ],
      [
        'crossEntropy: target [3] does not fit logits [2, 3]: one class for each row, so [2].',
        () => crossEntropy(x, [0, 1, 2]),
      ],
      [
        'crossEntropy: target [2, 1] does not fit logits [2, 3]: one class for each row, so [2].',
        () => crossEntropy(x, [[0], [1]]),
      ],
      [
        'crossEntropy: target [2] does not fit logits [3]: one class for each row, so [].',
        () => crossEntropy(zeros([3]), [0, 1]),
      ],
      [
        'crossEntropy: class probabilities [2] must have the shape of the logits, [2, 3]. Classes as whole numbers come in an array or an Int32Array, not in a tensor.',
        () => crossEntropy(x, tensor([0, 1])),
      ],
      ['crossEntropy: logits are [batch, classes] or [classes], not a scalar.', () => crossEntropy(tensor(1), [0])],
      [
        'crossEntropy: labelSmoothing lies between 0 and 1; 1.5 does not.',
        () => crossEntropy(x, [0, 1], { labelSmoothing: 1.5 }),
      ],
      [
        'crossEntropy: labelSmoothing lies between 0 and 1; NaN does not.',
        () => crossEntropy(x, [0, 1], { labelSmoothing: NaN }),
      ],
      [
        "crossEntropy: reduction is 'mean', 'sum' or 'none', not average.",
        () => untyped(crossEntropy)(x, [0, 1], { reduction: 'average' }),
      ],
      [
        'crossEntropy: indices are whole numbers in an array, an Int32Array or Indices, not number.',
        () => untyped(crossEntropy)(x, 1),
      ],
      [
        'crossEntropy: indices are whole numbers in an array, an Int32Array or Indices, not undefined.',
        () => untyped(crossEntropy)(x),
      ],
    ]);
    for (const value of [...noTensors, 3])
      expect(() => untyped(crossEntropy)(value, [0])).toThrow(/^crossEntropy: expected a tensor, not /);
  });
});

describe('nllLoss', () => {
  it('picks, reduces, and takes an empty batch', () => {
    const logp = [
      [-1, -2],
      [-3, -4],
    ];
    expectClose(nllLoss(tensor(logp), [1, 0]), 2.5);
    expectClose(nllLoss(tensor(logp), [1, 0], { reduction: 'none' }), [2, 3]);
    expectClose(
      slope((x) => nllLoss(x, [1, 0]), logp),
      [
        [0, -0.5],
        [-0.5, 0],
      ],
    );
    expectClose(nllLoss(zeros([0, 2]), [], { reduction: 'sum' }), 0);
    expectClose(nllLoss(zeros([0, 2]), []), NaN);
    expectClose(nllLoss(tensor([[-1, -inf]]), [0]), 1);
  });

  it('says what is wrong', () => {
    expectRefused([
      ['nllLoss: log-probabilities are [batch, classes], not [3].', () => nllLoss(zeros([3]), [0])],
      ['nllLoss: index 2 at position 0 is outside 0 to 1.', () => nllLoss(zeros([1, 2]), [2])],
      [
        'nllLoss: target [2] does not fit [1, 2]: one class for each row, so [1].',
        () => nllLoss(zeros([1, 2]), [0, 1]),
      ],
      [
        "nllLoss: reduction is 'mean', 'sum' or 'none', not null.",
        () => untyped(nllLoss)(zeros([1, 2]), [0], { reduction: null }),
      ],
      ['nllLoss: expected a tensor, not null. Make one with tensor(...).', () => untyped(nllLoss)(null, [0])],
    ]);
  });
});

describe('mseLoss and l1Loss', () => {
  it('reduce, with gradients to both', () => {
    const [a, b] = [
      [
        [1, 2],
        [3, 4],
      ],
      [
        [1, 0],
        [6, 4],
      ],
    ];
    expectClose(mseLoss(tensor(a), tensor(b)), 13 / 4);
    expectClose(mseLoss(tensor(a), tensor(b), { reduction: 'sum' }), 13);
    expectClose(mseLoss(tensor(a), tensor(b), { reduction: 'none' }), [0, 4, 9, 0]);
    expectClose(l1Loss(tensor(a), tensor(b)), 5 / 4);
    expectClose(l1Loss(tensor(a), tensor(b), { reduction: 'none' }), [0, 2, 3, 0]);
    const [da, db] = slopes((x, y) => mseLoss(x, y), a, b);
    expectClose([da!, db!], [0, 1, -1.5, 0, 0, -1, 1.5, 0]);
    const [la, lb] = slopes((x, y) => l1Loss(x, y, { reduction: 'sum' }), a, b);
    expectClose([la!, lb!], [0, 1, -1, 0, 0, -1, 1, 0]);
    expectClose(mseLoss(tensor(3), 1), 4);
    expectClose(mseLoss(tensor([1, 5]), 2), 5);
    expectClose(l1Loss(tensor([1, 5]), 2), 2);
    expectClose(
      slope((x) => mseLoss(x, x), [1, 2]),
      [0, 0],
    );
  });

  it('of nothing: mean NaN, sum 0', () => {
    for (const loss of [mseLoss, l1Loss]) {
      expectClose(loss(zeros([0]), zeros([0])), NaN);
      expectClose(loss(zeros([0]), zeros([0]), { reduction: 'sum' }), 0);
    }
  });

  it('say what is wrong', () => {
    for (const [name, loss] of [
      ['mseLoss', mseLoss],
      ['l1Loss', l1Loss],
    ] as const) {
      const rule = 'differ in shape. Reshape one; broadcasting here is nearly always a mistake.';
      expectRefused([
        [`${name}: input [4, 1] and target [4] ${rule}`, () => loss(zeros([4, 1]), zeros([4]))],
        [`${name}: input [4] and target [] ${rule}`, () => loss(zeros([4]), tensor(1))],
        [
          `${name}: reduction is 'mean', 'sum' or 'none', not batchmean.`,
          () => untyped(loss)(zeros([4]), zeros([4]), { reduction: 'batchmean' }),
        ],
        [
          `${name}: expected a tensor or a number, not an array. Make one with tensor(...).`,
          () => untyped(loss)(zeros([2]), [1, 2]),
        ],
        [
          `${name}: expected a tensor, not an array. Make one with tensor(...).`,
          () => untyped(loss)([1, 2], zeros([2])),
        ],
      ]);
    }
  });
});
