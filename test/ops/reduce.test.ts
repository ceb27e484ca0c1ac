/** Reductions: empty axes, ties, zeros, NaN, several axes, the axes that they name. (sum has a file of its own.) */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, noTensors, slope, untyped } from './numbers.ts';

const { tensor, zeros } = p;
const inf = Infinity;

describe('of nothing', () => {
  it('a mean is NaN, a product 1, a norm 0, a variance NaN', () => {
    const empty = zeros([2, 0]);
    expectClose(p.mean(empty), NaN);
    expectClose(p.mean(empty, 1), [NaN, NaN]);
    expectClose(p.prod(empty), 1);
    expectClose(p.prod(empty, 1), [1, 1]);
    expectClose(p.norm(empty, 1), [0, 0]);
    expectClose(p.variance(empty, 1), [NaN, NaN]);
    expectClose(p.std(empty, 1), [NaN, NaN]);
  });

  it('along another axis it is nothing, with its shape', () => {
    const empty = zeros([2, 0]).requiresGrad_();
    for (const f of [p.mean, p.prod, p.norm, p.amax, p.amin, p.variance, p.std]) {
      const out = f(empty, 0);
      expect(out.shape).toEqual([0]);
      out.sum().backward();
      expect(empty.grad!.shape).toEqual([2, 0]);
      empty.grad = null;
    }
    expect(p.argmax(empty, 0).shape).toEqual([0]);
  });

  it('there is no largest number, and the error says so', () => {
    expectRefused([
      ['amax: shape [2, 0] has no numbers along axis 1 to choose from.', () => p.amax(zeros([2, 0]), 1)],
      ['amin: shape [0] has no numbers along axis 0 to choose from.', () => p.amin(zeros([0]))],
      ['amax: shape [2, 0] has no numbers along axis 0, 1 to choose from.', () => p.amax(zeros([2, 0]))],
      ['argmax: axis 1 of shape [2, 0] has no numbers to choose from.', () => p.argmax(zeros([2, 0]), 1)],
      ['argmin: shape [2, 0] has no numbers to choose from.', () => p.argmin(zeros([2, 0]))],
    ]);
  });
});

describe('of one number', () => {
  it('a scalar is its own mean, product and extremes', () => {
    for (const f of [p.mean, p.prod, p.amax, p.amin, p.sum]) {
      expect(f(tensor(-3)).toArray()).toBe(-3);
      expectClose(
        slope((x) => f(x), -3),
        1,
      );
    }
    expect(p.norm(tensor(-3)).toArray()).toBe(3);
    expect(p.argmax(tensor(-3)).toArray()).toBe(0);
    expectClose(p.variance(tensor(-3)), NaN);
    expectClose(p.variance(tensor(-3), undefined, { unbiased: false }), 0);
  });
});

describe('mean', () => {
  it('of equal numbers is that number, whatever their count', () => {
    for (let n = 1; n < 200; n++) expect(p.mean(p.full([n], 3)).item()).toBe(3);
  });
});

describe('variance and std', () => {
  it('count degrees of freedom as PyTorch does', () => {
    const x = [
      [1, 2, 4],
      [0, 0, 3],
    ];
    expectClose(p.variance(tensor(x), 1), [7 / 3, 3]);
    expectClose(p.variance(tensor(x), 1, { unbiased: false }), [14 / 9, 2]);
    expectClose(p.std(tensor(x), 1, { keepdim: true }).square(), [[7 / 3], [3]]);
    expect(p.std(tensor(x), 1, { keepdim: true }).shape).toEqual([2, 1]);
  });

  it('of equal numbers is 0, with gradient 0', () => {
    expectClose(p.std(tensor([2, 2, 2])), 0);
    expectClose(
      slope((x) => p.std(x), [2, 2, 2]),
      [0, 0, 0],
    );
    expectClose(
      slope((x) => p.variance(x), [2, 2, 2]),
      [0, 0, 0],
    );
  });
});

describe('amax and amin', () => {
  it('send the whole gradient of a tie to the first', () => {
    expectClose(
      slope(
        (x) => p.amax(x, 1),
        [
          [1, 3, 3],
          [2, 2, 2],
        ],
      ),
      [
        [0, 1, 0],
        [1, 0, 0],
      ],
    );
    expectClose(
      slope(
        (x) => p.amin(x, 0),
        [
          [1, 3],
          [1, 2],
          [0, 2],
        ],
      ),
      [
        [0, 0],
        [0, 1],
        [1, 0],
      ],
    );
    expectClose(
      slope(
        (x) => p.amax(x),
        [
          [1, 3],
          [3, 3],
        ],
      ),
      [
        [0, 1],
        [0, 0],
      ],
    );
    expectClose(
      slope(
        (x) => p.amax(x, [0, 2]),
        [
          [
            [1, 5],
            [2, 0],
          ],
          [
            [5, 5],
            [2, 2],
          ],
        ],
      ),
      [
        [
          [0, 1],
          [1, 0],
        ],
        [
          [0, 0],
          [0, 0],
        ],
      ],
    );
    expectClose(
      slope((x) => p.amax(x), [-inf, -inf]),
      [1, 0],
    );
  });

  it('NaN is the largest and the smallest, and takes the gradient', () => {
    expectClose(p.amax(tensor([1, NaN, 3])), NaN);
    expectClose(p.amin(tensor([1, NaN, 3])), NaN);
    expectClose(
      slope((x) => p.amax(x), [1, NaN, 3]),
      [0, 1, 0],
    );
    expectClose(
      slope((x) => p.amin(x), [1, NaN, NaN]),
      [0, 1, 0],
    );
  });

  it('of infinities', () => {
    expectClose(p.amax(tensor([-inf, inf, 0])), inf);
    expectClose(p.amax(tensor([-inf, -inf])), -inf);
    expectClose(p.amin(tensor([inf, inf])), inf);
  });
});

describe('argmax and argmin', () => {
  it('find the first of a tie, and NaN before anything', () => {
    expect(p.argmax(tensor([1, 3, 3])).toArray()).toBe(1);
    expect(
      p
        .argmin(
          tensor([
            [2, 1],
            [1, 1],
          ]),
          0,
        )
        .toArray(),
    ).toEqual([1, 0]);
    expect(p.argmax(tensor([1, NaN, inf, NaN])).toArray()).toBe(1);
    expect(p.argmin(tensor([1, NaN, -inf])).toArray()).toBe(1);
    expect(p.argmax(tensor([-inf, -inf])).toArray()).toBe(0);
  });

  it('count in row-major order without dim, and keep the axis if asked', () => {
    const x = tensor([
      [1, 5, 2],
      [9, 0, 9],
    ]);
    expect(p.argmax(x).toArray()).toBe(3);
    expect(p.argmax(x.transpose()).toArray()).toBe(1);
    const kept = p.argmax(x, -1, true);
    expect([kept.shape, kept.toArray()]).toEqual([
      [2, 1],
      [[1], [0]],
    ]);
    expect(p.argmax(x, 0)).toBeInstanceOf(p.Indices);
    expect(p.argmax(x, 0).data).toEqual(Int32Array.of(1, 0, 1));
  });
});

describe('prod', () => {
  it('has right gradients with no zero, one, two', () => {
    expectClose(
      slope((x) => p.prod(x), [2, 3, 4]),
      [12, 8, 6],
    );
    expectClose(
      slope((x) => p.prod(x), [2, 0, 4]),
      [0, 8, 0],
    );
    expectClose(
      slope((x) => p.prod(x), [0, 3, 0]),
      [0, 0, 0],
    );
    expectClose(
      slope(
        (x) => p.prod(x, 1),
        [
          [1, 2, 3],
          [0, 5, 6],
          [0, 0, 7],
        ],
      ),
      [
        [6, 3, 2],
        [30, 0, 0],
        [0, 0, 0],
      ],
    );
    expectClose(
      slope(
        (x) => p.prod(x, 0),
        [
          [1, 0],
          [-0, 5],
        ],
      ),
      [
        [0, 5],
        [1, 0],
      ],
    );
    expectClose(
      slope(
        (x) => p.prod(x, [0, 2]),
        [
          [
            [1, 2],
            [0, 3],
          ],
          [
            [3, 4],
            [5, 6],
          ],
        ],
      ),
      [
        [
          [24, 12],
          [90, 0],
        ],
        [
          [8, 6],
          [0, 0],
        ],
      ],
    );
  });

  it('has a right second derivative at a zero', () => {
    const x = tensor([0, 3, 5]);
    const inner = p.grad((y: p.Tensor) => p.prod(y));
    // d/dx of (dprod/dx0 + dprod/dx1 + dprod/dx2) = [x1 + x2, x0 + x2, x0 + x1]
    expectClose(p.grad((y: p.Tensor) => inner(y).sum())(x), [8, 5, 3]);
  });
});

describe('norm', () => {
  it('has gradient x / |x|, and 0 at 0', () => {
    expectClose(
      p.norm(
        tensor([
          [3, 4],
          [0, 0],
        ]),
        1,
      ),
      [5, 0],
    );
    expectClose(
      slope(
        (x) => p.norm(x, 1),
        [
          [3, 4],
          [0, 0],
        ],
      ),
      [
        [0.6, 0.8],
        [0, 0],
      ],
    );
    expectClose(
      slope(
        (x) => p.norm(x),
        [
          [0, 0],
          [0, 0],
        ],
      ),
      [
        [0, 0],
        [0, 0],
      ],
    );
    expectClose(
      slope((x) => p.norm(x), 0),
      0,
    );
  });
});

describe('axes', () => {
  const x = p.arange(24).reshape([2, 3, 4]);

  it('are named from the front or the back, in any order, and stay with keepdim', () => {
    for (const f of [p.mean, p.amax, p.amin, p.prod, p.norm]) {
      expectClose(f(x, -1), f(x, 2));
      expectClose(f(x, [2, 0]), f(x, [0, -1]));
      expectClose(f(x, [0, 1, 2]), f(x));
      expect(f(x, 1, true).shape).toEqual([2, 1, 4]);
      expect(f(x, [0, 2], true).shape).toEqual([1, 3, 1]);
      expect(f(x, undefined, true).shape).toEqual([1, 1, 1]);
      expect(f(x, [0, 2]).shape).toEqual([3]);
    }
    expectClose(p.amax(x, [0, 2]), [15, 19, 23]);
    expectClose(p.mean(x, [0, 2]), [7.5, 11.5, 15.5]);
  });

  it('none: every number for itself', () => {
    for (const f of [p.mean, p.amax, p.prod]) expectClose(f(x, []), x);
  });

  it.each([p.mean, p.amax, p.amin, p.prod, p.norm, p.variance, p.std].map((f) => [f.name, f] as const))(
    '%s refuses axes that are not there',
    (name, f) => {
      expectRefused([
        [`${name}: axis 3 does not exist in shape [2, 3, 4]; its axes are -3 to 2.`, () => f(x, 3)],
        [`${name}: axis -4 does not exist in shape [2, 3, 4]; its axes are -3 to 2.`, () => f(x, [0, -4])],
        [`${name}: axis 0.5 does not exist in shape [2, 3, 4]; its axes are -3 to 2.`, () => f(x, 0.5)],
        [`${name}: axis NaN does not exist in shape [2, 3, 4]; its axes are -3 to 2.`, () => f(x, NaN)],
        [`${name}: axis 1 of shape [2, 3, 4] is named twice.`, () => f(x, [1, -2])],
        [`${name}: axis 0 does not exist in shape [], which has none.`, () => f(tensor(1), 0)],
        [`${name}: dim is an axis or a list of axes, not x.`, () => untyped(f)(x, 'x')],
        [`${name}: dim is an axis or a list of axes, not null.`, () => untyped(f)(x, null)],
      ]);
      for (const value of noTensors)
        expect(() => untyped(f)(value)).toThrow(new RegExp(`^${name}: expected a tensor, not `));
    },
  );

  it('argmax and argmin take one axis', () => {
    expectRefused([
      ['argmax: axis 3 does not exist in shape [2, 3, 4]; its axes are -3 to 2.', () => p.argmax(x, 3)],
      ['argmin: axis 0 does not exist in shape [], which has none.', () => p.argmin(tensor(1), 0)],
      ['argmin: expected a tensor, not null. Make one with tensor(...).', () => untyped(p.argmin)(null)],
    ]);
  });
});
