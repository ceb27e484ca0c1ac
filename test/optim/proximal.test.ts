/** Guided steps, tile by tile on kernels, held to a plain twin (twin.ts): in double precision almost to the bit. */
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { inFloat64 } from '../../src/autograd/check.ts';
import { parameter } from '../../src/autograd/leaf.ts';
import { spring } from '../../src/autograd/message.ts';
import { backward, seed } from '../../src/autograd/seeds.ts';
import '../../src/ops/methods.ts';
import { mul } from '../../src/ops/binary.ts';
import { expand } from '../../src/ops/sum.ts';
import { Adam, AdamW } from '../../src/optim/adam.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { anchor } from '../../src/state/anchor.ts';
import { plasticity } from '../../src/state/gate.ts';
import { reset } from '../../src/state/reset.ts';
import { tensor } from '../../src/tensor/create.ts';
import { sizeOf } from '../../src/tensor/layout.ts';
import { numbersOf, type Tensor } from '../../src/tensor/tensor.ts';
import { type Said, Twin, type TwinOptions } from './twin.ts';

const removals: (() => void)[] = [];
afterEach(() => {
  for (const remove of removals.splice(0)) remove();
});

const read = (x: Tensor): number[] => [...numbersOf(x)];

const expectClose = (found: Tensor, twin: Twin): void => {
  for (const [i, x] of read(found).entries()) expect(x, `entry ${i}`).toBeCloseTo(twin.w[i]!, 5);
};

/** A number for each weight, as it may be given: for all, by element, by row, by column, or worked out at each step. */
interface Factor {
  readonly form: 'number' | 'scalar' | 'element' | 'row' | 'column' | 'view' | 'function';
  readonly values: readonly number[];
}

function given({ form, values }: Factor, shape: readonly number[]): number | Tensor | (() => Tensor) {
  const all = () => tensor(cycled(values, sizeOf(shape)), shape);
  if (form === 'number') return values[0]!;
  if (form === 'scalar') return tensor(values[0]!);
  if (form === 'function') return all;
  if (shape.length === 2 && form === 'row') return tensor(cycled(values, shape[1]!));
  if (shape.length === 2 && form === 'column') return tensor(cycled(values, shape[0]!), [shape[0]!, 1]);
  if (shape.length === 2 && form === 'view')
    return tensor(cycled(values, sizeOf(shape)), [shape[1]!, shape[0]!]).transpose(0, 1);
  return all();
}

const cycled = (values: readonly number[], n: number): number[] =>
  Array.from({ length: n }, (_, i) => values[i % values.length]!);

/** The same, read as a number for each weight. */
function spread(factor: Factor, shape: readonly number[]): number[] {
  const x = given(factor, shape);
  const value = typeof x === 'function' ? x() : typeof x === 'number' ? tensor(x) : x;
  return read(expand(value, shape));
}

interface Trial {
  readonly options: TwinOptions;
  readonly shape: readonly number[];
  readonly w: readonly number[];
  readonly gates: readonly Factor[];
  readonly anchors: readonly { at: readonly number[]; precision: Factor; step: 'implicit' | 'explicit' }[];
  readonly steps: readonly {
    readonly g: readonly number[] | null;
    readonly target: { readonly d: readonly number[]; readonly p: Factor } | null;
    /** Weights that are drawn anew after the step: those whose index has remainder 1 by it; null: none. */
    readonly every: number | null;
  }[];
}

function build({ kind, ...options }: TwinOptions, w: Tensor): SGD | Adam | AdamW {
  const { lr, momentum, dampening, nesterov, weightDecay, betas, eps, amsgrad } = options;
  if (kind === 'SGD') return new SGD([w], { lr, momentum, dampening, nesterov, weightDecay });
  return new (kind === 'Adam' ? Adam : AdamW)([w], { lr, betas, eps, weightDecay, amsgrad });
}

/** Runs both, and compares the weights after each step. */
function compare({ options, shape, w: start, gates, anchors, steps }: Trial, tolerance: number): void {
  const size = sizeOf(shape);
  const w = parameter(tensor(cycled(start, size), shape));
  const twin = new Twin(read(w), options);
  removals.push(...gates.map((gate) => plasticity(w, given(gate, shape))));
  const held = anchors.map(({ at, precision, step }) => {
    const p = given(precision, shape);
    const made = anchor(w, { at: tensor(cycled(at, size), shape), precision: typeof p === 'function' ? p() : p, step });
    removals.push(made.remove);
    return made;
  });
  const share = gates.map((gate) => spread(gate, shape));
  const optimizer = build(options, w);
  for (const { g, target, every } of steps) {
    optimizer.zeroGrad();
    if (g !== null)
      mul(w, tensor(cycled(g, size), shape))
        .sum()
        .backward();
    const p = target && spread(target.p, shape);
    if (target !== null && size > 0) {
      const precision = given(target.p, shape);
      const displacement = tensor(cycled(target.d, size), shape);
      backward(seed(w, spring(displacement, typeof precision === 'function' ? precision() : precision)));
    }
    const said: Said = {
      g: g && cycled(g, size),
      target: target && p && { d: cycled(target.d, size), p },
      plasticity: read(w).map((_, i) => share.reduce((product, one) => product * one[i]!, 1)),
      anchors: held.map(({ at, precision, step }) => ({
        at: read(at),
        precision: read(expand(precision, shape)),
        step,
      })),
    };
    const before = read(w);
    if (!twin.step(said)) {
      expect(() => optimizer.step()).toThrow(/Give a step size/);
      expect(read(w)).toEqual(before);
      return;
    }
    optimizer.step();
    const after = read(w);
    const wrong = after.flatMap((x, i) => {
      const near = Math.abs(x - twin.w[i]!) <= tolerance * (1 + Math.abs(twin.w[i]!));
      const stays = said.plasticity[i] !== 0 || Object.is(x, before[i]);
      return near && stays ? [] : [`${i}: ${x}, not ${twin.w[i]}`];
    });
    expect(wrong).toEqual([]);
    if (every === null) continue;
    const elements = after.flatMap((_, i) => (i % every === 1 ? [i] : []));
    // A gate that is a tensor opens for what was drawn anew: that is of test/state/reset.test.ts, not of the step.
    if (gates.some(({ form }) => form !== 'number' && form !== 'function')) continue;
    reset(w, { index: elements }, 0.5);
    twin.reset(elements, 0.5);
  }
}

const sixteenths = fc.integer({ min: -48, max: 48 }).map((k) => k / 16);
const list = (of: fc.Arbitrary<number>) => fc.array(of, { minLength: 1, maxLength: 7 });
const factor = (of: fc.Arbitrary<number>): fc.Arbitrary<Factor> =>
  fc.record({
    form: fc.constantFrom('number', 'scalar', 'element', 'row', 'column', 'view', 'function'),
    values: list(of),
  });
const maybe = <Value>(of: fc.Arbitrary<Value>) => fc.option(of, { nil: null, freq: 2 });

const trials = (kind: TwinOptions['kind']): fc.Arbitrary<Trial> =>
  fc.record({
    options: fc
      .record({
        kind: fc.constant(kind),
        lr: fc.constantFrom(0.01, 0.1, 0.25, 0, ...(kind === 'SGD' ? [Infinity] : [])),
        momentum: fc.constantFrom(0, 0.5),
        dampening: fc.constantFrom(0, 0.25),
        nesterov: fc.boolean(),
        weightDecay: fc.constantFrom(0, 0.5),
        betas: fc.constantFrom([0.5, 0.75] as const, [0.9, 0.999] as const),
        eps: fc.constantFrom(0.01, 0.5),
        amsgrad: fc.boolean(),
      })
      .map((o) => ({ ...o, nesterov: o.nesterov && o.momentum > 0, dampening: o.nesterov ? 0 : o.dampening })),
    shape: fc.constantFrom([], [1], [5], [2, 3], [4, 1], [1, 3], [0, 2], [3, 2, 2]),
    w: list(sixteenths),
    gates: fc.array(factor(fc.constantFrom(0, 0.25, 1, 2)), { maxLength: 2 }),
    anchors: fc.array(
      fc.record({
        at: list(sixteenths),
        precision: factor(fc.constantFrom(0, 0.5, 3)),
        step: fc.constantFrom('implicit', 'explicit'),
      }),
      { maxLength: 3 },
    ),
    steps: fc.array(
      fc.record({
        g: maybe(list(sixteenths)),
        target: maybe(fc.record({ d: list(sixteenths), p: factor(fc.constantFrom(0, 0.5, 4, Infinity)) })),
        every: maybe(fc.constantFrom(2, 3)),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  });

describe.each(['SGD', 'Adam', 'AdamW'] as const)('a guided step of %s', (kind) => {
  it('is what a twin in plain numbers makes of gates, anchors, targets and restarts, in double precision', () => {
    fc.assert(
      fc.property(trials(kind), (trial) => inFloat64(() => compare(trial, 1e-9))),
      { seed: 20261122, numRuns: 100 },
    );
  });

  it('and in single precision, to its rounding', () => {
    fc.assert(
      fc.property(trials(kind), (trial) => compare(trial, 2e-4)),
      { seed: 20261123, numRuns: 60 },
    );
  });

  const options: TwinOptions = {
    ...{ kind, lr: 0.1, momentum: 0.9, dampening: 0, nesterov: true, weightDecay: 0.1 },
    ...{ betas: [0.9, 0.999], eps: 1e-3, amsgrad: false },
  };
  const wave = (n: number, by: number): number[] => Array.from({ length: n }, (_, i) => Math.sin(i * by));
  const gate: Factor = { form: 'element', values: [0, 1, 0.5, 0.25, 1, 1, 0.75] };
  const p: Factor = { form: 'element', values: [0, 2, 0.5, 7, 1] };
  const step = { g: wave(1009, 1), target: null, every: null };
  const base: Trial = { options, shape: [130, 129], w: wave(1013, 2), gates: [], anchors: [], steps: [step, step] };
  const at = wave(1019, 3);
  it.each<[string, Partial<Trial>]>([
    ['plasticity by element', { gates: [gate] }],
    ['plasticity by column', { gates: [{ ...gate, form: 'column' }] }],
    ['an implicit anchor', { anchors: [{ at, precision: p, step: 'implicit' }] }],
    ['an explicit anchor', { anchors: [{ at, precision: p, step: 'explicit' }] }],
    ['one number as precision', { anchors: [{ at, precision: { ...p, form: 'number' }, step: 'implicit' }] }],
    ['a target', { steps: [{ ...step, target: { d: at, p: { ...p, form: 'row' } } }] }],
    ['restarts', { steps: [{ ...step, every: 3 }, { ...step, every: 2 }, step, step] }],
    [
      'restarts under an anchor',
      {
        anchors: [{ at, precision: p, step: 'implicit' }],
        steps: [{ ...step, every: 3 }, { ...step, every: 2 }, step],
      },
    ],
  ])('goes on from one tile to the next: %s', (_, change) => {
    compare({ ...base, ...change }, 2e-5);
  });

  it('ends the lookup of corrections when all weights are old, and changes nothing by it', () => {
    const old: Partial<Trial> = {
      ...{ options: { ...options, betas: [0.5, 0.75], weightDecay: 0 }, shape: [7] },
      steps: [step, { ...step, every: 3 }, ...Array.from({ length: 80 }, () => step)],
    };
    inFloat64(() => compare({ ...base, ...old }, 1e-5));
  });

  it('counts the steps of weights that all began anew at once', () => {
    const w = parameter(tensor([1, 2, 3]));
    const twin = new Twin([1, 2, 3], options);
    const optimizer = build(options, w);
    for (let t = 0; t < 6; t++) {
      const g = [Math.sin(t), 1, -t];
      optimizer.zeroGrad();
      mul(w, tensor(g)).sum().backward();
      optimizer.step();
      twin.step({ g, target: null, plasticity: [1, 1, 1], anchors: [] });
      expectClose(w, twin);
      if (t !== 2 || kind === 'SGD') continue;
      reset(w, { index: [0, 1, 2] }, 0.5);
      twin.reset([0, 1, 2], 0.5);
    }
  });

  it('moves a leaf whose numbers stand in another order, guided or not', () => {
    const x = tensor(wave(6, 1), [2, 3]).transpose(0, 1).requiresGrad_();
    const [once, again] = [build(options, x), new Twin(read(x), options)];
    for (const guidance of ['none', 'plasticity']) {
      if (guidance === 'plasticity') removals.push(plasticity(x, tensor([0.5, 2])));
      once.zeroGrad();
      mul(x, tensor(wave(6, 2), [3, 2]))
        .sum()
        .backward();
      once.step();
      const share = guidance === 'none' ? [1, 1, 1, 1, 1, 1] : [0.5, 2, 0.5, 2, 0.5, 2];
      again.step({ g: wave(6, 2), target: null, plasticity: share, anchors: [] });
      expectClose(x, again);
    }
  });
});

describe('a gate', () => {
  it.each([
    ['SGD', (w: Tensor) => new SGD([w], { lr: 0.5, momentum: 0.9 })],
    ['AdamW', (w: Tensor) => new AdamW([w], { lr: 0.5 })],
  ])('of 0 leaves the bits of its weights alone, whatever the gradient: %s', (_, make) => {
    const w = parameter(tensor([-0, 1e-40, 2, 3]));
    const before = read(w);
    removals.push(plasticity(w, tensor([0, 0, 0, 1])));
    mul(w, tensor([-1, -1, Infinity, 1]))
      .sum()
      .backward();
    make(w).step();
    expect(read(w).slice(0, 3)).toEqual(before.slice(0, 3));
    expect(read(w)[3]).toBeLessThan(3);
  });

  it('of 0 for all counts as no write, so that targets stay fresh', () => {
    for (const lr of [0.5, Infinity]) {
      const w = parameter(tensor([1, 2]));
      removals.push(plasticity(w, 0));
      backward(seed(w, spring(tensor([1, 1]), 3)));
      const optimizer = new SGD([w], { lr });
      optimizer.step();
      optimizer.step();
      expect(read(w)).toEqual([1, 2]);
    }
  });

  it.each([-0.25, Number.NaN, Infinity])('that holds %d anywhere is an error, and nothing has moved', (wrong) => {
    const numbers = new Float32Array(20000).fill(0.5);
    const c = tensor(numbers);
    const w = parameter(tensor(numbers));
    removals.push(plasticity(w, () => c.mul(1).add(tensor(numbers.map((_, i) => (i === 9000 ? wrong - 0.5 : 0))))));
    w.sum().backward();
    const before = read(w);
    expect(() => new SGD([w], { lr: 1 }).step()).toThrow(/plasticity: a gate is a finite number from 0 .* not /);
    expect(read(w)).toEqual(before);
  });
});
