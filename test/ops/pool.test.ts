/** Pooling: ties, padding, NaN, infinities, empty batches, refusals. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, noTensors, slope, untyped } from './numbers.ts';

const { tensor, zeros, full, maxPool2d, avgPool2d } = p;

describe('maxPool2d', () => {
  it('sends the gradient of a tie to the first, in row-major order', () => {
    expectClose(
      slope(
        (x) => maxPool2d(x, { kernelSize: 2 }),
        [
          [
            [
              [1, 1],
              [1, 1],
            ],
          ],
        ],
      ),
      [1, 0, 0, 0],
    );
    expectClose(
      slope(
        (x) => maxPool2d(x, { kernelSize: 2 }),
        [
          [
            [
              [0, 1],
              [1, 1],
            ],
          ],
        ],
      ),
      [0, 1, 0, 0],
    );
    expectClose(
      slope(
        (x) => maxPool2d(x, { kernelSize: 2 }),
        [
          [
            [
              [-Infinity, -Infinity],
              [-Infinity, -Infinity],
            ],
          ],
        ],
      ),
      [1, 0, 0, 0],
    );
  });

  it('adds up the gradients of windows that overlap', () => {
    const x = [
      [
        [
          [0, 1, 0],
          [0, 9, 0],
          [0, 1, 0],
        ],
      ],
    ];
    expectClose(
      slope(
        (y) =>
          maxPool2d(y, { kernelSize: 2, stride: 1 }).mul(
            tensor([
              [1, 2],
              [3, 4],
            ]),
          ),
        x,
      ),
      [0, 0, 0, 0, 10, 0, 0, 0, 0],
    );
  });

  it('padding never wins, not even over negative numbers', () => {
    const x = full([1, 1, 3, 3], -5);
    expectClose(maxPool2d(x, { kernelSize: 2, padding: 1 }), [-5, -5, -5, -5]);
    expectClose(maxPool2d(x, { kernelSize: [1, 3], padding: [0, 1] }).shape as number[], [1, 1, 3, 1]);
  });

  it('NaN wins, and takes the gradient', () => {
    expectClose(maxPool2d(tensor([[[[1, NaN, 3, 4]]]]), { kernelSize: [1, 2] }), [NaN, 4]);
    expectClose(
      slope((x) => maxPool2d(x, { kernelSize: [1, 2] }), [[[[1, NaN, 3, 4]]]]),
      [0, 1, 0, 1],
    );
  });
});

describe('avgPool2d', () => {
  it('counts padding as zeros', () => {
    expectClose(avgPool2d(full([1, 1, 2, 2], 4), { kernelSize: 2, padding: 1 }), [1, 1, 1, 1]);
    expectClose(
      slope(
        (x) => avgPool2d(x, { kernelSize: 2, padding: 1 }),
        [
          [
            [
              [1, 2],
              [3, 4],
            ],
          ],
        ],
      ),
      [0.25, 0.25, 0.25, 0.25],
    );
  });

  it('adds up the gradients of windows that overlap', () => {
    expectClose(
      slope((x) => avgPool2d(x, { kernelSize: [1, 2], stride: 1 }), [[[[1, 2, 3]]]]),
      [0.5, 1, 0.5],
    );
  });
});

describe('both', () => {
  const both = [
    ['maxPool2d', maxPool2d],
    ['avgPool2d', avgPool2d],
  ] as const;

  it.each(both)('%s of empty batches, of one pixel, of odd sizes', (_, pool) => {
    for (const [shape, out] of [
      [
        [0, 2, 4, 4],
        [0, 2, 2, 2],
      ],
      [
        [2, 0, 4, 4],
        [2, 0, 2, 2],
      ],
      [
        [2, 3, 5, 3],
        [2, 3, 2, 1],
      ],
    ] as [number[], number[]][]) {
      const x = zeros(shape).requiresGrad_();
      const y = pool(x, { kernelSize: 2 });
      expect(y.shape).toEqual(out);
      y.sum().backward();
      expect(x.grad!.shape).toEqual(shape);
    }
    expect(pool(tensor([[[[7]]]]), { kernelSize: 1 }).toArray()).toEqual([[[[7]]]]);
  });

  it.each(both)('%s keeps none of its options', (_, pool) => {
    const kernelSize: [number, number] = [2, 2];
    const x = tensor([
      [
        [
          [1, 2],
          [3, 4],
        ],
      ],
    ]).requiresGrad_();
    const y = pool(x, { kernelSize });
    kernelSize[0] = 1;
    y.backward();
    expectClose(x.grad!, pool === maxPool2d ? [0, 0, 0, 1] : [0.25, 0.25, 0.25, 0.25]);
  });

  it.each(both)('%s says what is wrong', (name, pool) => {
    const x = zeros([1, 1, 4, 4]);
    expectRefused([
      [`${name}: images are [N, C, H, W], not [4, 4].`, () => pool(zeros([4, 4]), { kernelSize: 2 })],
      [`${name}: image [1, 1, 4, 4] is smaller than the window [5, 5].`, () => pool(x, { kernelSize: 5 })],
      [
        `${name}: image [1, 1, 0, 4] is smaller than the window [2, 2].`,
        () => pool(zeros([1, 1, 0, 4]), { kernelSize: 2, padding: 1 }),
      ],
      [
        `${name}: padding [1, 0] is more than half of the window [1, 4].`,
        () => pool(x, { kernelSize: [1, 4], padding: [1, 0] }),
      ],
      [
        `${name}: padding [0, 1] is more than half of the window [4, 1].`,
        () => pool(x, { kernelSize: [4, 1], padding: [0, 1] }),
      ],
      [`${name}: padding [2, 2] is more than half of the window [3, 3].`, () => pool(x, { kernelSize: 3, padding: 2 })],
      [`${name}: kernelSize is a whole number of at least 1, or two of them, not 0.`, () => pool(x, { kernelSize: 0 })],
      [
        `${name}: kernelSize is a whole number of at least 1, or two of them, not undefined.`,
        () => untyped(pool)(x, {}),
      ],
      [
        `${name}: stride is a whole number of at least 1, or two of them, not 1.5.`,
        () => pool(x, { kernelSize: 2, stride: 1.5 }),
      ],
      [
        `${name}: padding is a whole number of at least 0, or two of them, not [0,-1].`,
        () => pool(x, { kernelSize: 2, padding: [0, -1] }),
      ],
    ]);
    for (const value of [...noTensors, 3])
      expect(() => untyped(pool)(value, { kernelSize: 2 })).toThrow(new RegExp(`^${name}: expected a tensor, not `));
  });
});
