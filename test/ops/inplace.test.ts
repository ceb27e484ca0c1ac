/** Writing in place: who may be written, overlaps, windows of ordinary arrays, what the other views then see. */
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, expectRefused, untyped } from './numbers.ts';

const { tensor, zeros, arange, noGrad, parameter } = p;

describe('what in-place ops do', () => {
  it('compute into their target, broadcast the source, and return the target', () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(x.add_(1)).toBe(x);
    expect(x.toArray()).toEqual([
      [2, 3],
      [4, 5],
    ]);
    expect(x.sub_(tensor([1, 2])).toArray()).toEqual([
      [1, 1],
      [3, 3],
    ]);
    expect(x.mul_(tensor([[2], [3]])).toArray()).toEqual([
      [2, 2],
      [9, 9],
    ]);
    expect(x.div_(2).toArray()).toEqual([
      [1, 1],
      [4.5, 4.5],
    ]);
    expect(x.copy_(tensor([[7, 8]])).toArray()).toEqual([
      [7, 8],
      [7, 8],
    ]);
    expect(x.copy_(3).toArray()).toEqual([
      [3, 3],
      [3, 3],
    ]);
    expect(x.fill_(NaN).toArray()).toEqual([
      [NaN, NaN],
      [NaN, NaN],
    ]);
    expect(x.zero_().toArray()).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  it('write a scalar, nothing, and views', () => {
    expect(tensor(3).mul_(2).toArray()).toBe(6);
    for (const shape of [[0], [2, 0], [0, 3, 2]]) expect(zeros(shape).add_(1).zero_().copy_(2).shape).toEqual(shape);
    const x = arange(6).reshape([2, 3]);
    x.transpose()
      .slice([[0, 2]])
      .mul_(10);
    expect(x.toArray()).toEqual([
      [0, 10, 2],
      [30, 40, 5],
    ]);
    x.flip(1).copy_(tensor([1, 2, 3]));
    expect(x.toArray()).toEqual([
      [3, 2, 1],
      [3, 2, 1],
    ]);
  });

  it('write every kind of tensor: a parameter, a buffer, the result of an op', () => {
    for (const make of [() => tensor([1, 2]), () => p.buffer(tensor([1, 2])), () => tensor([0, 1]).add(1)])
      expect(make().add_(1).toArray()).toEqual([2, 3]);
    const w = parameter(tensor([1, 2]));
    noGrad(() => w.sub_(0.5));
    expect(w.toArray()).toEqual([0.5, 1.5]);
    expect(w.requiresGrad).toBe(true);
  });
});

describe('source and target that overlap', () => {
  it.each<[string, (numbers: number[]) => p.Tensor]>([
    ['an ordinary array', (numbers) => tensor(numbers)],
    ['a buffer', (numbers) => p.buffer(tensor(numbers))],
    ['an op output', (numbers) => tensor(numbers).add(0)],
  ])('%s: the source is read before anything is written', (_, make) => {
    const shifted = make([0, 1, 2, 3, 4]);
    shifted.slice([[1, 5]]).copy_(shifted.slice([[0, 4]]));
    expect(shifted.toArray()).toEqual([0, 0, 1, 2, 3]);
    const back = make([0, 1, 2, 3, 4]);
    back.slice([[0, 4]]).copy_(back.slice([[1, 5]]));
    expect(back.toArray()).toEqual([1, 2, 3, 4, 4]);
    const reversed = make([0, 1, 2, 3, 4]);
    reversed.copy_(reversed.flip(0));
    expect(reversed.toArray()).toEqual([4, 3, 2, 1, 0]);
    const added = make([0, 1, 2, 3, 4]);
    added.slice([[1, 5]]).add_(added.slice([[0, 4]]));
    expect(added.toArray()).toEqual([0, 1, 3, 5, 7]);
    const first = make([5, 1, 2, 3, 4]);
    first.copy_(first.slice([[0, 1]]));
    expect(first.toArray()).toEqual([5, 5, 5, 5, 5]);
    const square = make([1, 2, 3, 4]).reshape([2, 2]);
    square.copy_(square.transpose());
    expect(square.toArray()).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });
});

describe('windows of an ordinary array', () => {
  /** Lets kernels see the numbers, so that a copy of them stands in kernel memory. */
  const stage = (...tensors: p.Tensor[]) => {
    for (const x of tensors) x.add(0);
  };

  it('what a slice gets, its base shows, and the other way round', () => {
    const base = arange(6);
    const window = base.slice([[2, 5]]);
    stage(base, window);
    window.fill_(9);
    expect(base.toArray()).toEqual([0, 1, 9, 9, 9, 5]);
    expect(base.add(0).toArray()).toEqual([0, 1, 9, 9, 9, 5]);
    stage(base, window);
    base.mul_(2);
    expect(window.toArray()).toEqual([18, 18, 18]);
    expect(window.add(0).toArray()).toEqual([18, 18, 18]);
  });

  it('two slices that overlap show what either got', () => {
    const base = zeros([6]);
    const [left, right] = [base.slice([[0, 4]]), base.slice([[2, 6]])];
    stage(base, left, right);
    left.add_(1);
    right.add_(10);
    left.add_(100);
    expect(base.add(0).toArray()).toEqual([101, 101, 111, 111, 10, 10]);
    expect([left.add(0).toArray(), right.add(0).toArray()]).toEqual([
      [101, 101, 111, 111],
      [111, 111, 10, 10],
    ]);
  });

  it('a slice of a slice, backwards and in steps', () => {
    const base = arange(8);
    const inner = base.slice([[1, 7]]).slice([[5, null, -2]]);
    stage(base, inner);
    expect(inner.toArray()).toEqual([6, 4, 2]);
    inner.copy_(tensor([60, 40, 20]));
    expect(base.toArray()).toEqual([0, 1, 20, 3, 40, 5, 60, 7]);
    base.zero_();
    expect(inner.add(0).toArray()).toEqual([0, 0, 0]);
  });
});

describe('a graph that needs the old numbers', () => {
  it('notices the write, through a view too', () => {
    const [x, w] = [tensor([1, 2]), tensor([3, 4]).requiresGrad_()];
    for (const write of [() => x.add_(1), () => x.slice([[0, 1]]).zero_(), () => x.flip(0).fill_(2)]) {
      const loss = x.mul(w).sum();
      write();
      expect(() => loss.backward()).toThrow(
        /^backward: a value that mul needs for its gradient was changed in place after mul read it/,
      );
    }
  });

  it('does not mind where it reads nothing', () => {
    const [x, w] = [tensor([1, 2]), tensor([3, 4]).requiresGrad_()];
    const loss = x.add(w).sum();
    x.zero_();
    loss.backward();
    expect(w.grad!.toArray()).toEqual([1, 1]);
  });
});

describe('what is refused', () => {
  const all: [string, (x: p.Tensor) => unknown][] = [
    ['copy_', (x) => x.copy_(1)],
    ['add_', (x) => x.add_(1)],
    ['sub_', (x) => x.sub_(1)],
    ['mul_', (x) => x.mul_(1)],
    ['div_', (x) => x.div_(1)],
    ['zero_', (x) => x.zero_()],
    ['fill_', (x) => x.fill_(1)],
  ];

  it.each(all)('%s: a leaf outside noGrad, a computed tensor, a repeated one', (name, write) => {
    const leaf = tensor([1, 2]).requiresGrad_();
    const computed = leaf.mul(2);
    const wide = tensor([1, 2]).expand([3, 2]);
    expectRefused([
      [`${name}: a leaf that requires a gradient is written inside noGrad(() => ...) only.`, () => write(leaf)],
      [
        `${name}: a tensor computed by mul is part of a graph and is not written in place. Compute a new one, or write to a copy of it, detach().`,
        () => write(computed),
      ],
      [
        `${name}: a tensor computed by mul is part of a graph and is not written in place. Compute a new one, or write to a copy of it, detach().`,
        () => noGrad(() => write(computed)),
      ],
      [
        `${name}: a tensor computed by slice is part of a graph and is not written in place. Compute a new one, or write to a copy of it, detach().`,
        () => write(leaf.slice([[0, 1]])),
      ],
      [
        `${name}: axis 0 of this view repeats the same numbers (stride 0), so writing would set each several times. Write to clone() of it.`,
        () => write(wide),
      ],
    ]);
    expect([leaf.toArray(), computed.toArray(), wide.slice([0]).toArray()]).toEqual([
      [1, 2],
      [2, 4],
      [1, 2],
    ]);
    noGrad(() => write(leaf.slice([[0, 1]])));
    noGrad(() => write(leaf));
  });

  it('sources of other shapes, and what is no source', () => {
    const x = zeros([3]);
    const rule = 'Sizes must agree or be 1; reshape one of them.';
    expectRefused([
      ['copy_: a source of shape [2, 3] does not fit a target of shape [3].', () => x.copy_(zeros([2, 3]))],
      ['add_: a source of shape [2, 1] does not fit a target of shape [3].', () => x.add_(zeros([2, 1]))],
      ['mul_: a source of shape [3] does not fit a target of shape [1].', () => zeros([1]).mul_(x)],
      [
        `sub_: shapes [2] and [3] do not broadcast: counted from the last axis, axis 1 has sizes 2 and 3. ${rule}`,
        () => x.sub_(zeros([2])),
      ],
      [
        'add_: expected a tensor or a number, not string. Make one with tensor(...).',
        () => untyped(x.add_.bind(x))('x'),
      ],
      [
        'copy_: expected a tensor or a number, not an array. Make one with tensor(...).',
        () => untyped(x.copy_.bind(x))([1, 2, 3]),
      ],
      [
        'fill_: expected a tensor or a number, not undefined. Make one with tensor(...).',
        () => untyped(x.fill_.bind(x))(),
      ],
      [
        'div_: expected a tensor or a number, not null. Make one with tensor(...).',
        () => untyped(x.div_.bind(x))(null),
      ],
    ]);
    expectClose(x, [0, 0, 0]);
  });
});
