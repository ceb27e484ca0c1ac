/** Views and their ways back: what shares storage, what is copied, Python's slices, empty parts, refusals. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, noTensors, slope, untyped } from './numbers.ts';

const { tensor, zeros, arange } = p;
const grid = () => arange(12).reshape([3, 4]);

/** Whether two tensors look at the same numbers: a write to one is seen by the other. */
function shares(a: p.Tensor, b: p.Tensor): boolean {
  a.zero_();
  b.fill_(1);
  return a.sum().item() > 0;
}

describe('views', () => {
  it.each<[string, (x: p.Tensor) => p.Tensor]>([
    ['permute', (x) => x.permute([1, 0])],
    ['transpose', (x) => x.transpose()],
    [
      'slice',
      (x) =>
        x.slice([
          [1, 3],
          [0, 4, 2],
        ]),
    ],
    ['a row', (x) => x.slice([1])],
    ['a column', (x) => x.slice([null, -1])],
    ['flip', (x) => x.flip([0, 1])],
    ['reshape', (x) => x.reshape([2, 6])],
    ['reshape of a view that strides can say', (x) => x.slice([null, [0, 4, 2]]).reshape([3, 2, 1])],
    [
      'reshape that joins axes of a view',
      (x) =>
        x
          .slice([[2, null, -1]])
          .reshape([3, 2, 2])
          .reshape([3, 4]),
    ],
    ['flatten', (x) => x.flatten()],
    ['unsqueeze of a view', (x) => x.transpose().unsqueeze(1)],
    [
      'squeeze of a view',
      (x) =>
        x
          .slice([[1, 2]])
          .transpose()
          .squeeze(1),
    ],
    ['contiguous, of what is', (x) => x.contiguous()],
    [
      'a view of a view',
      (x) =>
        x
          .flip(0)
          .transpose()
          .slice([[1, 3], 0]),
    ],
  ])('%s shares storage, whether user, op or parameter made the numbers', (_, view) => {
    for (const make of [grid, () => grid().add(1), () => p.buffer(grid()), () => zeros([3, 4])]) {
      const x = make();
      expect(shares(x, view(x))).toBe(true);
    }
  });

  it.each<[string, (x: p.Tensor) => p.Tensor]>([
    ['clone', (x) => x.clone()],
    ['detach', (x) => x.detach()],
    ['contiguous, of what is not', (x) => x.transpose().contiguous()],
    ['reshape that strides cannot say', (x) => x.transpose().reshape([12])],
    ['cat of one', (x) => p.cat([x])],
    ['pad by nothing', (x) => x.pad([])],
  ])('%s is a copy', (_, copy) => {
    const x = grid();
    expect(shares(x, copy(x))).toBe(false);
  });

  it('expand shares, and is read only', () => {
    const x = tensor([[1], [2]]);
    const wide = x.expand([2, 3]);
    x.fill_(5);
    expect(wide.toArray()).toEqual([
      [5, 5, 5],
      [5, 5, 5],
    ]);
  });
});

describe('reshape', () => {
  it('works out the size that is -1', () => {
    expect(grid().reshape([-1]).shape).toEqual([12]);
    expect(grid().reshape([2, -1, 3]).shape).toEqual([2, 2, 3]);
    expect(zeros([0, 4]).reshape([-1, 2]).shape).toEqual([0, 2]);
    expect(tensor(3).reshape([-1]).shape).toEqual([1]);
    expect(tensor([3]).reshape([]).toArray()).toBe(3);
    expect(zeros([0]).reshape([3, 0, 2]).toArray()).toEqual([[], [], []]);
  });

  it('reads views in row-major order', () => {
    expect(grid().transpose().reshape([2, 6]).toArray()).toEqual([
      [0, 4, 8, 1, 5, 9],
      [2, 6, 10, 3, 7, 11],
    ]);
    expect(
      tensor([[1], [2]])
        .expand([2, 3])
        .reshape([-1])
        .toArray(),
    ).toEqual([1, 1, 1, 2, 2, 2]);
    expect(tensor([1, 2]).expand([2, 2]).reshape([4]).toArray()).toEqual([1, 2, 1, 2]);
    expect(tensor(7).expand([4]).reshape([2, 2]).toArray()).toEqual([
      [7, 7],
      [7, 7],
    ]);
  });

  it('does not keep the list that it was given', () => {
    const shape = [2, 6];
    const x = grid().reshape(shape);
    shape[0] = 7;
    expect(x.shape).toEqual([2, 6]);
  });

  it('says what is wrong', () => {
    const x = grid();
    expectRefused([
      ['reshape: shape [3, 4] holds 12 numbers, [5] would hold 5.', () => x.reshape([5])],
      ['reshape: shape [3, 4] (12 numbers) does not fit [5, -1].', () => x.reshape([5, -1])],
      ['reshape: shape [3, 4] (12 numbers) does not fit [-1, -1].', () => x.reshape([-1, -1])],
      ['reshape: shape [0, 4] (0 numbers) does not fit [0, -1].', () => zeros([0, 4]).reshape([0, -1])],
      ['reshape: a shape holds whole numbers of at least 0, not [-3, -4].', () => x.reshape([-3, -4])],
      ['reshape: a shape holds whole numbers of at least 0, not [2.4, 5].', () => x.reshape([2.4, 5])],
      ['reshape: a shape holds whole numbers of at least 0, not [NaN].', () => x.reshape([NaN])],
      ['reshape: a shape is a list of sizes, [2, 3] say, not 2.', () => untyped(p.reshape)(x, 2, 6)],
    ]);
  });
});

describe('flatten, squeeze, unsqueeze', () => {
  it('join, drop and add axes', () => {
    const x = zeros([2, 3, 4]);
    expect([x.flatten().shape, x.flatten(1).shape, x.flatten(0, 1).shape, x.flatten(-2).shape]).toEqual([
      [24],
      [2, 12],
      [6, 4],
      [2, 12],
    ]);
    expect(tensor(1).flatten().shape).toEqual([1]);
    expect(zeros([0, 3, 4]).flatten(1).shape).toEqual([0, 12]);
    const y = zeros([1, 3, 1]);
    expect([y.squeeze().shape, y.squeeze(0).shape, y.squeeze([0, -1]).shape]).toEqual([[3], [3, 1], [3]]);
    expect([y.unsqueeze(0).shape, y.unsqueeze(-1).shape, tensor(1).unsqueeze(0).shape]).toEqual([
      [1, 1, 3, 1],
      [1, 3, 1, 1],
      [1],
    ]);
  });

  it('say what is wrong', () => {
    expectRefused([
      ['flatten: axis 1 comes after axis 0 in shape [2, 3].', () => zeros([2, 3]).flatten(1, 0)],
      ['flatten: axis 2 does not exist in shape [2, 3]; its axes are -2 to 1.', () => zeros([2, 3]).flatten(2)],
      ['squeeze: axis 1 of shape [1, 3] has size 3, not 1.', () => zeros([1, 3]).squeeze(1)],
      ['squeeze: axis 0 of shape [1, 3] is named twice.', () => zeros([1, 3]).squeeze([0, -2])],
      ['unsqueeze: axis 4 does not exist in shape [2, 3, 1]; its axes are -3 to 2.', () => zeros([2, 3]).unsqueeze(4)],
    ]);
  });
});

describe('permute, transpose, flip', () => {
  it('six axes in every third order, there and back', () => {
    const sizes = [2, 3, 1, 2, 2, 3];
    const x = arange(72).reshape(sizes);
    const orders = [
      [5, 4, 3, 2, 1, 0],
      [1, 0, 3, 2, 5, 4],
      [2, 4, 0, 5, 1, 3],
      [3, 5, 1, 0, 4, 2],
      [0, 1, 2, 3, 5, 4],
    ];
    const strides = [36, 12, 12, 6, 3, 1];
    for (const order of orders) {
      const expected: number[] = [];
      const visit = (axis: number, at: number): void => {
        if (axis === 6) expected.push(at);
        else for (let i = 0; i < sizes[order[axis]!]!; i++) visit(axis + 1, at + i * strides[order[axis]!]!);
      };
      visit(0, 0);
      const y = x.permute(order);
      expect(y.shape).toEqual(order.map((axis) => sizes[axis]));
      expectClose(y, expected);
      expectClose(y.clone(), expected);
      expectClose(y.add(0), expected);
      expectClose(y.permute(order.map((_, axis) => order.indexOf(axis))).add(0), x);
      const weight = arange(72).reshape(y.shape);
      expectClose(
        slope((z) => z.permute(order).mul(weight), x.toArray()),
        weight.permute(order.map((_, axis) => order.indexOf(axis))),
      );
    }
  });

  it('count axes from the back too', () => {
    expect(zeros([2, 3, 4]).permute([-1, 0, -2]).shape).toEqual([4, 2, 3]);
    expect(zeros([2, 3, 4]).transpose().shape).toEqual([2, 4, 3]);
    expect(zeros([2, 3, 4]).transpose(0, -1).shape).toEqual([4, 3, 2]);
    expect(tensor(1).permute([]).toArray()).toBe(1);
  });

  it('flip reverses the axes that it names', () => {
    const x = grid();
    expect(x.flip(0).toArray()).toEqual([
      [8, 9, 10, 11],
      [4, 5, 6, 7],
      [0, 1, 2, 3],
    ]);
    expect(x.flip([0, -1]).flatten().toArray()).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    expect(x.flip(0).flip(0).toArray()).toEqual(x.toArray());
    expect(zeros([0, 3]).flip([0, 1]).shape).toEqual([0, 3]);
    expectClose(
      slope((y) => y.flip(0).mul(tensor([1, 2, 3])), [0, 0, 0]),
      [3, 2, 1],
    );
  });

  it('say what is wrong', () => {
    const x = zeros([2, 3, 4]);
    expectRefused([
      ['permute: [0, 1] does not name each axis of shape [2, 3, 4] once.', () => x.permute([0, 1])],
      ['permute: [0, 1, 1] does not name each axis of shape [2, 3, 4] once.', () => x.permute([0, 1, 1])],
      ['permute: axis 3 does not exist in shape [2, 3, 4]; its axes are -3 to 2.', () => x.permute([0, 1, 3])],
      ['permute: dims is a list of axes, [1, 0] say, not 2.', () => untyped(p.permute)(x, 2, 1, 0)],
      ['transpose: axis -2 does not exist in shape [3]; its axes are -1 to 0.', () => zeros([3]).transpose()],
      ['flip: axis 3 does not exist in shape [2, 3, 4]; its axes are -3 to 2.', () => x.flip(3)],
      ['flip: axis 1 of shape [2, 3, 4] is named twice.', () => x.flip([1, 1])],
    ]);
  });
});

describe('slice', () => {
  /** Python's x[start:stop:step] of 0 .. size - 1, by its definition in the language reference. */
  function python(size: number, start: number | null, stop: number | null, step: number): number[] {
    const clip = (bound: number, low: number, high: number) =>
      Math.min(Math.max(bound < 0 ? bound + size : bound, low), high);
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
    const first = start === null ? (step > 0 ? low : high) : clip(start, low, high);
    const end = stop === null ? (step > 0 ? high : low) : clip(stop, low, high);
    const taken: number[] = [];
    for (let i = first; step > 0 ? i < end : i > end; i += step) taken.push(i);
    return taken;
  }

  it("is Python's for every bound and step", () => {
    const bounds = [null, -7, -5, -4, -1, 0, 1, 3, 4, 5, 7];
    for (const size of [0, 1, 5])
      for (const start of bounds)
        for (const stop of bounds)
          for (const step of [1, 2, 3, 7, -1, -2, -7]) {
            const expected = python(size, start, stop, step);
            const found = arange(size).slice([[start, stop, step]]);
            expect(found.shape).toEqual([expected.length]);
            expect(found.toArray()).toEqual(expected);
          }
  });

  it('takes entries, ranges and all, axis by axis', () => {
    const x = grid();
    expect(x.slice([1]).toArray()).toEqual([4, 5, 6, 7]);
    expect(x.slice([-1, 0]).toArray()).toBe(8);
    expect(x.slice([null, 2]).toArray()).toEqual([2, 6, 10]);
    expect(x.slice([[1], [null, null, -2]]).toArray()).toEqual([
      [7, 5],
      [11, 9],
    ]);
    expect(x.slice([]).toArray()).toEqual(x.toArray());
    expect(x.slice([[2, 1]]).shape).toEqual([0, 4]);
    expect(x.slice([[9, 12], 1]).shape).toEqual([0]);
  });

  it('sends gradients to what was taken, and 0 elsewhere', () => {
    expectClose(
      slope((x) => x.slice([[4, null, -2]]).mul(tensor([1, 2, 3])), [0, 0, 0, 0, 0]),
      [3, 0, 2, 0, 1],
    );
    expectClose(
      slope((x) => x.slice([[3, 3]]), [1, 2]),
      [0, 0],
    );
    expectClose(
      slope(
        (x) => x.slice([1, -1]),
        [
          [1, 2],
          [3, 4],
        ],
      ),
      [
        [0, 0],
        [0, 1],
      ],
    );
  });

  it('says what is wrong', () => {
    const x = grid();
    const list = 'ranges is a list with one range for each leading axis, [[0, 2], null] say';
    expectRefused([
      ['slice: axis 0 of shape [3, 4] has no entry 3.', () => x.slice([3])],
      ['slice: axis 1 of shape [3, 4] has no entry -5.', () => x.slice([null, -5])],
      ['slice: axis 0 of shape [0] has no entry 0.', () => zeros([0]).slice([0])],
      ['slice: axis 0 of shape [3, 4] has no entry 0.5.', () => x.slice([0.5])],
      ['slice: 3 ranges for shape [3, 4], which has 2 axes.', () => x.slice([null, null, 0])],
      ['slice: the step along axis 0 is a whole number other than 0, not 0.', () => x.slice([[0, 2, 0]])],
      ['slice: the bounds along axis 1 are whole numbers, not NaN.', () => x.slice([null, [NaN, 2]])],
      ['slice: the bounds along axis 0 are whole numbers, not Infinity.', () => x.slice([[0, Infinity]])],
      ['slice: the bounds along axis 0 are whole numbers, not x.', () => untyped(p.slice)(x, ['x'])],
      [`slice: ${list}, not 1.`, () => untyped(p.slice)(x, 1)],
      [`slice: ${list}, not undefined.`, () => untyped(p.slice)(x)],
    ]);
  });
});

describe('pad', () => {
  it('surrounds, from the last axis on', () => {
    expect(
      tensor([[1, 2]])
        .pad([1, 2, 0, 1], 9)
        .toArray(),
    ).toEqual([
      [9, 1, 2, 9, 9],
      [9, 9, 9, 9, 9],
    ]);
    expect(zeros([0, 2]).pad([0, 0, 1, 1], 3).toArray()).toEqual([
      [3, 3],
      [3, 3],
    ]);
    expect(tensor(5).pad([]).toArray()).toBe(5);
    expectClose(
      slope((x) => x.pad([1, 1]).mul(tensor([1, 2, 3, 4])), [0, 0]),
      [2, 3],
    );
  });

  it('says what is wrong', () => {
    expectRefused([
      ['pad: 3 amounts do not make pairs for the axes of shape [2].', () => zeros([2]).pad([1, 2, 3])],
      ['pad: 4 amounts do not make pairs for the axes of shape [2].', () => zeros([2]).pad([1, 2, 3, 4])],
      ['pad: amounts are whole numbers of at least 0, not [-1, 0]. To cut, use slice.', () => zeros([2]).pad([-1, 0])],
      ['pad: amounts is a list of pairs, [left, right, top, bottom] say, not 1.', () => untyped(p.pad)(zeros([2]), 1)],
    ]);
  });
});

describe('cat and stack', () => {
  it('join, with empty ones among them', () => {
    expect(p.cat([tensor([[1]]), zeros([0, 1]), tensor([[2], [3]])]).toArray()).toEqual([[1], [2], [3]]);
    expect(p.cat([zeros([2, 0]), zeros([2, 0])], 1).shape).toEqual([2, 0]);
    expect(
      p
        .cat(
          [
            grid()
              .transpose()
              .slice([[0, 1]]),
            grid().slice([
              [0, 1],
              [0, 3],
            ]),
          ],
          -1,
        )
        .toArray(),
    ).toEqual([[0, 4, 8, 0, 1, 2]]);
    expect(p.stack([tensor([1, 2]), tensor([3, 4])], 1).toArray()).toEqual([
      [1, 3],
      [2, 4],
    ]);
    expect(p.stack([tensor(1), tensor(2)], -1).toArray()).toEqual([1, 2]);
    expect(p.stack([zeros([0]), zeros([0])]).shape).toEqual([2, 0]);
  });

  it('send each its part of the gradient, twice to what is there twice', () => {
    const weight = tensor([[1, 2, 3]]);
    const [a, b] = [tensor([[0]]).requiresGrad_(), tensor([[0, 0]]).requiresGrad_()];
    p.cat([a, b], 1).mul(weight).sum().backward();
    expect([a.grad!.toArray(), b.grad!.toArray()]).toEqual([[[1]], [[2, 3]]]);
    expectClose(
      slope((x) => p.cat([x, x], 0).mul(tensor([1, 2])), [0]),
      [3],
    );
    expectClose(
      slope(
        (x) =>
          p.stack([x, x], 1).mul(
            tensor([
              [1, 2],
              [3, 4],
            ]),
          ),
        [0, 0],
      ),
      [3, 7],
    );
  });

  it('do not keep the list that they were given', () => {
    const x = tensor([1]).requiresGrad_();
    const list = [x, x];
    const joined = p.cat(list).sum();
    list.length = 0;
    joined.backward();
    expect(x.grad!.toArray()).toEqual([2]);
  });

  it('say what is wrong', () => {
    const rule = 'all other sizes must agree.';
    expectRefused([
      ['cat: the list of tensors is empty.', () => p.cat([])],
      ['stack: the list of tensors is empty.', () => p.stack([])],
      [
        `cat: shapes [2, 3], [2, 4] cannot be joined along axis 0: ${rule}`,
        () => p.cat([zeros([2, 3]), zeros([2, 4])]),
      ],
      [`cat: shapes [2], [2, 1] cannot be joined along axis 0: ${rule}`, () => p.cat([zeros([2]), zeros([2, 1])])],
      ['cat: axis 1 does not exist in shape [2]; its axes are -1 to 0.', () => p.cat([zeros([2])], 1)],
      ['cat: axis 0 does not exist in shape [], which has none.', () => p.cat([tensor(1)])],
      ['stack: shapes [2], [3] differ; they must agree.', () => p.stack([zeros([2]), zeros([3])])],
      ['stack: axis 2 does not exist in shape [2, 1]; its axes are -2 to 1.', () => p.stack([zeros([2])], 2)],
      ['cat: expected a list of tensors, not null.', () => untyped(p.cat)(null)],
      ['cat: expected a tensor, not number. Make one with tensor(...).', () => untyped(p.cat)([zeros([2]), 3])],
      ['stack: expected a tensor, not null. Make one with tensor(...).', () => untyped(p.stack)([null])],
    ]);
    expect(() => untyped(p.cat)(zeros([2]))).toThrow(/^cat: expected a list of tensors, not Tensor/);
  });
});

it.each<[string, unknown]>([
  ...([
    ['reshape', [2]],
    ['flatten', 0],
    ['unsqueeze', 0],
    ['squeeze', 0],
    ['permute', [0]],
    ['transpose', 0],
  ] as [string, unknown][]),
  ...([
    ['flip', 0],
    ['slice', []],
    ['pad', []],
  ] as [string, unknown][]),
])('%s refuses what is no tensor', (name, argument) => {
  const op = untyped((p as unknown as Record<string, (x: p.Tensor) => p.Tensor>)[name]!);
  for (const value of noTensors)
    expect(() => op(value, argument)).toThrow(new RegExp(`^${name}: expected a tensor, not `));
});
