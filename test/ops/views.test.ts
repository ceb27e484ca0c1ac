/**
 * Every op on views: chains of permute, slice, flip, unsqueeze, expand and reshape, of random shapes with sizes from 0,
 * against a plain model. The model of a view is the list of positions in the base that it shows: its numbers are read
 * there, and gradients and writes arrive there.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as p from '../../src/index.ts';
import { expectClose, inUsedMemory } from './numbers.ts';

const { tensor } = p;
const fixedSeed = { seed: 20261120 };
/** Cases for each op. */
const runs = 60;
const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** All indices of a shape in row-major order. */
const indicesOf = (shape: readonly number[]) =>
  shape.reduce<number[][]>(
    (all, size) => all.flatMap((index) => Array.from({ length: size }, (_, i) => [...index, i])),
    [[]],
  );

interface View {
  x: p.Tensor;
  shape: number[];
  /** Position in the base of each number, in row-major order. */
  sources: number[];
}

/** A view whose number at `index` is the number of `view` at origin(index). */
function remap(
  { shape: oldShape, sources }: View,
  x: p.Tensor,
  shape: number[],
  origin: (index: number[]) => number[],
): View {
  const position = (index: number[]) => oldShape.reduce((at, size, axis) => at * size + index[axis]!, 0);
  return { x, shape, sources: indicesOf(shape).map((index) => sources[position(origin(index))]!) };
}

/** One step of a chain: which op, and numbers that it makes its arguments of. */
type Step = [kind: number, seeds: number[]];

const pure: ((view: View, seeds: number[]) => View)[] = [
  // permute
  (view, seeds) => {
    const dims = view.shape.map((_, axis) => axis).sort((a, b) => seeds[a]! - seeds[b]! || a - b);
    return remap(
      view,
      view.x.permute(dims),
      dims.map((axis) => view.shape[axis]!),
      (index) => {
        const origin: number[] = [];
        dims.forEach((axis, i) => {
          origin[axis] = index[i]!;
        });
        return origin;
      },
    );
  },
  // slice, with steps of either sign
  (view, seeds) => {
    const parts = view.shape.map((size, axis) => {
      const seed = seeds[axis]!;
      const step = [1, 1, 2, 3, -1, -2][seed % 6]!;
      const from = size === 0 ? 0 : seed % size;
      const [start, room] = step > 0 ? [from, size - from] : [size - 1 - from, size - from];
      const length = size === 0 ? 0 : Math.ceil(room / Math.abs(step));
      return { start, step, count: seed % 11 === 10 ? 0 : length };
    });
    const ranges = parts.map(({ start, step, count }): p.Range => (count === 0 ? [0, 0] : [start, null, step]));
    return remap(
      view,
      view.x.slice(ranges),
      parts.map(({ count }) => count),
      (index) => index.map((i, axis) => parts[axis]!.start + i * parts[axis]!.step),
    );
  },
  // one entry of an axis
  (view, seeds) => {
    const axis = view.shape.findIndex((size) => size > 1);
    if (axis < 0) return view;
    const entry = seeds[0]! % view.shape[axis]!;
    return remap(
      view,
      view.x.slice([...new Array<null>(axis).fill(null), entry]),
      view.shape.filter((_, i) => i !== axis),
      (index) => [...index.slice(0, axis), entry, ...index.slice(axis)],
    );
  },
  // flip
  (view, seeds) => {
    const dims = view.shape.flatMap((_, axis) => (seeds[axis]! % 2 === 1 ? [axis] : []));
    return remap(view, view.x.flip(dims), view.shape, (index) =>
      index.map((i, axis) => (dims.includes(axis) ? view.shape[axis]! - 1 - i : i)),
    );
  },
  // unsqueeze
  (view, seeds) => {
    if (view.shape.length > 4) return view;
    const axis = seeds[0]! % (view.shape.length + 1);
    return remap(view, view.x.unsqueeze(axis), [...view.shape.slice(0, axis), 1, ...view.shape.slice(axis)], (index) =>
      index.filter((_, i) => i !== axis),
    );
  },
];
const repeating: typeof pure = [
  // expand
  (view, seeds) => {
    if (view.shape.length > 4 || sizeOf(view.shape) > 50) return view;
    const shape = [1 + (seeds[0]! % 2), ...view.shape.map((size, axis) => (size === 1 ? seeds[axis]! % 4 : size))];
    return remap(view, view.x.expand(shape), shape, (index) =>
      index.slice(1).map((i, axis) => (view.shape[axis] === 1 ? 0 : i)),
    );
  },
  // reshape: two neighbouring axes joined, or one split
  (view, seeds) => {
    const { shape } = view;
    if (shape.length < 2) return view;
    const axis = seeds[0]! % (shape.length - 1);
    const joined = [...shape.slice(0, axis), shape[axis]! * shape[axis + 1]!, ...shape.slice(axis + 2)];
    const split = [...shape.slice(0, axis + 1), 1, shape[axis + 1]!, ...shape.slice(axis + 2)];
    const target = seeds[1]! % 2 === 0 ? joined : split;
    return { x: view.x.reshape(target), shape: target, sources: view.sources };
  },
];

const shapes = fc.array(fc.nat(5), { maxLength: 4 }).filter((shape) => sizeOf(shape) <= 120);
const steps = fc.array(fc.tuple(fc.nat(100), fc.array(fc.nat(1000), { minLength: 6, maxLength: 6 })), { maxLength: 5 });

/** A base tensor of each kind: an ordinary array, a parameter, the output of an op. */
const kinds: ((numbers: number[], shape: number[]) => { leaf: p.Tensor; base: p.Tensor })[] = [
  (numbers, shape) => {
    const leaf = tensor(numbers, shape).requiresGrad_();
    return { leaf, base: leaf };
  },
  (numbers, shape) => {
    const leaf = p.parameter(tensor(numbers, shape));
    return { leaf, base: leaf };
  },
  (numbers, shape) => {
    const leaf = tensor(numbers, shape).requiresGrad_();
    return { leaf, base: leaf.mul(1) };
  },
];

const numbersFor = (size: number) => Array.from({ length: size }, (_, i) => ((i * 5) % 13) / 4 - 1.3);

function chain(base: p.Tensor, shape: number[], steps: readonly Step[], ops: typeof pure): View {
  const start: View = { x: base, shape, sources: Array.from({ length: sizeOf(shape) }, (_, i) => i) };
  return steps.reduce((view, [kind, seeds]) => ops[kind % ops.length]!(view, seeds), start);
}

/** Ops that a view may go into; null where the shape does not suit. */
const consumers: Record<string, (x: p.Tensor) => p.Tensor | null> = {
  exp: (x) => x.exp(),
  relu: (x) => x.relu(),
  tanh: (x) => x.tanh(),
  square: (x) => x.square(),
  pow: (x) => x.abs().add(1).pow(x),
  'add a scalar': (x) => x.add(0.5),
  'mul with itself': (x) => x.mul(x),
  'mul with a row': (x) => (x.ndim === 0 ? null : x.mul(p.arange(x.shape.at(-1)!).add(1))),
  'div by a column': (x) => (x.ndim < 2 ? null : x.div(p.arange(x.shape.at(-2)!).add(1).unsqueeze(1))),
  'sub from its transpose': (x) => (x.ndim < 2 || x.shape.at(-1) !== x.shape.at(-2) ? null : x.transpose().sub(x)),
  'maximum with itself reversed': (x) => x.maximum(x.flip(x.shape.map((_, axis) => axis))),
  'where it is positive': (x) => p.where(x.gt(0), x, 0),
  sum: (x) => x.sum(),
  'sum of the first axis': (x) => (x.ndim === 0 ? null : x.sum(0)),
  'sum of the last axis': (x) => (x.ndim === 0 ? null : x.sum(-1)),
  'sum of every second axis': (x) => x.sum(x.shape.flatMap((_, axis) => (axis % 2 === 0 ? [axis] : []))),
  mean: (x) => (x.size === 0 ? null : x.mean()),
  std: (x) => (x.size < 2 ? null : x.std()),
  amax: (x) => (x.size === 0 ? null : x.amax(0 < x.ndim ? 0 : [])),
  prod: (x) => (x.ndim === 0 ? null : x.prod(-1)),
  norm: (x) => (x.ndim === 0 ? null : x.norm(0)),
  logsumexp: (x) => (x.size === 0 ? null : x.logsumexp()),
  softmax: (x) => (x.ndim === 0 ? null : x.softmax()),
  'softmax of the first axis': (x) => (x.ndim === 0 ? null : x.softmax(0)),
  logSoftmax: (x) => (x.ndim === 0 ? null : x.logSoftmax()),
  'matmul from the left': (x) =>
    x.ndim === 0 ? null : x.matmul(p.arange(x.shape.at(-1)! * 3).reshape([x.shape.at(-1)!, 3])),
  'matmul from the right': (x) =>
    x.ndim < 2
      ? null
      : p
          .arange(x.shape.at(-2)! * 2)
          .reshape([2, x.shape.at(-2)!])
          .matmul(x),
  'matmul with its transpose': (x) => (x.ndim < 2 ? null : x.matmul(x.transpose())),
  linear: (x) =>
    x.ndim === 0 ? null : p.linear(x, p.arange(x.shape.at(-1)! * 2).reshape([2, x.shape.at(-1)!]), tensor([1, 2])),
  'linear, as weight': (x) =>
    x.ndim !== 2 ? null : p.linear(p.arange(x.shape[1]! * 2).reshape([2, x.shape[1]!]), x, p.arange(x.shape[0]!)),
  'conv2d, as image': (x) =>
    x.ndim !== 4 || x.shape[2]! < 2 || x.shape[3]! < 1
      ? null
      : p.conv2d(x, p.arange(4 * x.shape[1]!).reshape([2, x.shape[1]!, 2, 1]), tensor([1, 2]), { stride: [1, 2] }),
  'conv2d, as weight': (x) =>
    x.ndim !== 4 || x.size === 0
      ? null
      : p.conv2d(
          p
            .arange(x.shape[1]! * 64)
            .reshape([1, x.shape[1]!, 8, 8])
            .sin(),
          x,
        ),
  maxPool2d: (x) =>
    x.ndim !== 4 || x.shape[2]! < 2 || x.shape[3]! < 1 ? null : p.maxPool2d(x, { kernelSize: [2, 1] }),
  avgPool2d: (x) =>
    x.ndim !== 4 || x.shape[2]! < 2 || x.shape[3]! < 1 ? null : p.avgPool2d(x, { kernelSize: [2, 1], stride: 1 }),
  crossEntropy: (x) =>
    x.ndim !== 2 || x.size === 0
      ? null
      : p.crossEntropy(
          x,
          Array.from({ length: x.shape[0]! }, (_, i) => i % x.shape[1]!),
        ),
  'mseLoss with another view': (x) =>
    x.size === 0 ? null : p.mseLoss(x, x.flip(x.shape.map((_, axis) => axis)).detach()),
  cat: (x) => (x.ndim === 0 ? null : p.cat([x, x.mul(2), x], -1)),
  stack: (x) => p.stack([x, x], 0),
  pad: (x) => (x.ndim === 0 ? null : x.pad([1, 2], 7)),
  indexSelect: (x) => (x.ndim === 0 || x.shape[0] === 0 ? null : x.indexSelect(0, [0, x.shape[0]! - 1, 0])),
  reshape: (x) => x.reshape([x.size]),
  clone: (x) => x.clone(),
};

/** The sum of an op's output, each number weighed differently. */
const weighed = (y: p.Tensor) => y.mul(p.arange(y.size).mul(1.7).sin().reshape(y.shape)).sum();

describe('views', () => {
  it('show the numbers of the base where the model says, contiguous or not', () => {
    fc.assert(
      fc.property(shapes, steps, fc.nat(2), (shape, list, kind) => {
        const { base } = kinds[kind]!(numbersFor(sizeOf(shape)), shape);
        const { x, shape: expected, sources } = chain(base, shape, list, [...pure, ...repeating]);
        const numbers = base.toFloat32Array();
        expect(x.shape).toEqual(expected);
        expectClose(
          x,
          sources.map((i) => numbers[i]!),
        );
        expect(Array.from(x.toFloat32Array())).toEqual(sources.map((i) => numbers[i]!));
        expectClose(x.contiguous(), x);
      }),
      { ...fixedSeed, numRuns: 500 },
    );
  });

  it.each(Object.keys(consumers))('%s: of a view as of its copy, forward and backward', (name) => {
    const consume = consumers[name]!;
    let suited = 0;
    fc.assert(
      fc.property(shapes, steps, fc.nat(2), (shape, list, kind) => {
        inUsedMemory(() => {
          const { leaf, base } = kinds[kind]!(numbersFor(sizeOf(shape)), shape);
          const { x, sources } = chain(base, shape, list, [...pure, ...repeating]);
          const copy = x.detach().requiresGrad_();
          const expected = consume(copy);
          const found = consume(x);
          fc.pre(expected !== null && found !== null);
          suited++;
          expect(found.shape).toEqual(expected.shape);
          expectClose(found, expected, 1e-5);
          weighed(expected).backward();
          weighed(found).backward();
          const sums = new Array<number>(sizeOf(shape)).fill(0);
          const gradient = copy.grad?.toFloat32Array();
          sources.forEach((source, i) => {
            sums[source]! += gradient?.[i] ?? 0;
          });
          expectClose(leaf.grad ?? p.zeros(shape), sums, 1e-4);
        });
      }),
      { ...fixedSeed, numRuns: runs, maxSkipsPerRun: 2000 },
    );
    expect(suited).toBe(runs);
  });

  it('written in place change the base where the model says, and nowhere else', () => {
    fc.assert(
      fc.property(shapes, steps, fc.boolean(), fc.boolean(), (shape, list, resident, staged) => {
        const numbers = numbersFor(sizeOf(shape));
        const base = resident ? p.buffer(tensor(numbers, shape)) : tensor(numbers, shape);
        const { x, sources } = chain(base, shape, list, pure);
        if (staged) p.stack([base.sum(), x.sum()]);
        const written = x.shape.length === 0 ? tensor(100) : p.arange(x.size).add(100).reshape(x.shape);
        x.copy_(written);
        const expected = tensor(numbers, shape).toFloat32Array();
        sources.forEach((source, i) => {
          expected[source] = 100 + i;
        });
        expectClose(base, Array.from(expected));
        expectClose(base.add(0), Array.from(expected));
        // The other way round: what the base gets, the view shows.
        base.mul_(2);
        expectClose(x.add(0), written.mul(2));
        expectClose(x, written.mul(2));
      }),
      { ...fixedSeed, numRuns: 500 },
    );
  });
});
