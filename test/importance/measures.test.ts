import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { noGrad } from '../../src/autograd/modes.ts';
import { perExampleGradients } from '../../src/autograd/per-example.ts';
import { attachRules } from '../../src/autograd/rule.ts';
import { gradients } from '../../src/autograd/transforms.ts';
import { performance } from '../../src/importance/curve.ts';
import { forwardLosses, type Subject } from '../../src/importance/measure.ts';
import { type MeasureName, measureNamed, measures } from '../../src/importance/measures.ts';
import { WeightMovement } from '../../src/importance/movement.ts';
import { PathIntegral, RiemannianWalk } from '../../src/importance/trackers.ts';
import { ReLU, Tanh } from '../../src/nn/activation.ts';
import { Flatten, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Dropout } from '../../src/nn/dropout.ts';
import { Linear } from '../../src/nn/linear.ts';
import { LayerNorm } from '../../src/nn/normalization.ts';
import { Generator } from '../../src/random/generator.ts';
import { feedbackAlignment } from '../../src/rules/feedback.ts';
import { tensor, zeros } from '../../src/tensor/create.ts';
import { arrayIn, drawnBatches, linearOf, numbersIn, Small } from './tiny.ts';

const close = (found: ArrayLike<number>, expected: ArrayLike<number>, digits = 5): void => {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < found.length; i++) expect(found[i]!, `element ${i}`).toBeCloseTo(expected[i]!, digits);
};

/** A subject with everything that any measure may ask for. */
function everything(seed = 1): Subject & { batches: NonNullable<Subject['batches']> } {
  const generator = new Generator(seed);
  const model = new Sequential(
    new Conv2d(1, 2, 2, { generator }),
    new ReLU(),
    new Flatten(),
    new Linear(8, 4, { generator }),
    new LayerNorm(4),
    new Dropout(0.5, { generator: new Generator(5) }),
    new Tanh(),
    new Linear(4, 3, { generator }),
  );
  const named = model.namedParameters();
  return {
    model,
    batches: drawnBatches(generator, { count: 7, shape: [1, 3, 3], classes: 3 }),
    generator: new Generator(9),
    movement: new WeightMovement(named),
    path: new PathIntegral(named),
    walk: new RiemannianWalk(named),
  };
}

const names = Object.keys(measures) as MeasureName[];

describe('every measure', () => {
  it.each(names)(
    "%s gives finite numbers of the parameters' shapes, and changes neither weights, gradients nor modes",
    (name) => {
      const subject = everything();
      const { model } = subject;
      const before = model.stateDict();
      const shapes = new Map(model.namedParameters().map(([key, { shape }]) => [key, shape]));
      const measure = name === 'synflow' ? measures.synflow({ rounds: 4 }) : measureNamed(name);
      const found = measure.measure(subject);
      expect(found.size).toBeGreaterThan(0);
      for (const [key, values] of found) {
        expect(values.shape).toEqual(shapes.get(key));
        expect(values.requiresGrad).toBe(false);
        // The shift of a norm begins at 0, and 1 / 0 is infinite.
        if (name !== 'inverseMagnitude') expect(numbersIn(found, key).every(Number.isFinite)).toBe(true);
      }
      for (const [key, values] of Object.entries(model.stateDict()))
        expect(values.toFloat32Array()).toEqual(before[key]!.toFloat32Array());
      expect(model.parameters().every(({ grad }) => grad === null)).toBe(true);
      expect(model.namedModules().every(([, { training }]) => training)).toBe(true);
      expect(measure.name).toBe(name);
    },
  );

  it.each(names)(
    '%s is the same inside noGrad, where data are ordinary, and under rules that are no gradients',
    (name) => {
      const make = () => (name === 'synflow' ? measures.synflow({ rounds: 2 }) : measureNamed(name));
      const plain = make().measure(everything());
      const without = noGrad(() => make().measure(everything()));
      const ruled = everything();
      attachRules(ruled.model, feedbackAlignment({ generator: new Generator(3) }));
      const found = make().measure(ruled);
      for (const [key] of plain) {
        expect(numbersIn(without, key)).toEqual(numbersIn(plain, key));
        expect(numbersIn(found, key)).toEqual(numbersIn(plain, key));
      }
    },
  );

  it('that needs data says so where there are none', () => {
    for (const name of names) {
      const measure = measureNamed(name);
      if (measure.needs !== 'data') continue;
      const { model } = everything();
      expect(() => measure.measure({ model })).toThrow(`${name}: there are no data. Give the subject batches`);
      expect(() => measure.measure({ model, batches: () => [] }), name).toThrow(
        /no data: batches\(\) gave no examples|no batches|empty/,
      );
    }
  });

  it('that needs a tracker says which, where none watched', () => {
    const { model } = everything();
    const trackers = { movement: 'WeightMovement', path: 'PathIntegral', walk: 'RiemannianWalk' };
    const needed = new Set<string>();
    for (const name of names) {
      const measure = measureNamed(name);
      if (measure.needs !== 'training') continue;
      try {
        measure.measure({ model });
        expect.unreachable();
      } catch (error) {
        const tracker = /Attach new (\w+)\(model.namedParameters\(\)\)/.exec((error as Error).message)?.[1];
        needed.add(tracker ?? `${name} names none`);
      }
    }
    expect([...needed].sort()).toEqual(Object.values(trackers).sort());
  });

  it('that is not there is an error that lists those that are', () => {
    expect(() => measureNamed('magic')).toThrow(
      /^measureNamed: there is no measure magic; there are random, magnitude, /,
    );
    expect(() => measureNamed('toString')).toThrow(/no measure toString/);
  });

  it('refuses NaN with a sentence', () => {
    const model = new Sequential(linearOf([[Number.NaN, 1]]));
    expect(() => measures.magnitude().measure({ model })).toThrow(
      /^magnitude: the importance of element 0 of 0.weight is NaN\./,
    );
  });

  it('refuses a model without parameters, losses of another shape, and labels of another number', () => {
    expect(() => measures.magnitude().measure({ model: new ReLU() })).toThrow(/the model has no parameters/);
    const model = new Sequential(linearOf([[1, 2]]));
    const x = zeros([2, 2]);
    const batches = () => [{ x, labels: Int32Array.of(0, 0) }];
    expect(() => measures.snip().measure({ model, batches, losses: (output) => output.sum() })).toThrow(
      /^snip: the losses of a batch of 2 have shape \[\]\. Give one number for each example/,
    );
    expect(() => measures.snip().measure({ model, batches: () => [{ x, labels: Int32Array.of(0) }] })).toThrow(
      /x of shape \[2, 2\] and 1 labels/,
    );
  });
});

describe('measures of the weights alone', () => {
  const model = new Sequential(
    linearOf(
      [
        [3, -4],
        [0, 0],
      ],
      [1, 0],
    ),
    linearOf([[1, -2]]),
  );
  const of = (name: MeasureName, parameter: string) => arrayIn(measureNamed(name).measure({ model }), parameter);

  it('magnitude is |w|, and its inverse 1 / |w|', () => {
    expect(of('magnitude', '0.weight')).toEqual([
      [3, 4],
      [0, 0],
    ]);
    expect(of('inverseMagnitude', '1.weight')).toEqual([[1, 0.5]]);
    expect(of('inverseMagnitude', '0.weight')).toEqual([
      [Math.fround(1 / 3), 0.25],
      [Infinity, Infinity],
    ]);
  });

  it('relative magnitude is a share of the unit, its bias included, and 0 where all are 0', () => {
    expect(of('relativeMagnitude', '0.weight')).toEqual([
      [0.375, 0.5],
      [0, 0],
    ]);
    expect(of('relativeMagnitude', '0.bias')).toEqual([0.125, 0]);
    expect(of('relativeMagnitude', '1.weight')).toEqual([[Math.fround(1 / 3), Math.fround(2 / 3)]]);
  });

  it('LAMP divides by the squares of those not smaller: 1 for the largest of each parameter', () => {
    expect(of('lamp', '0.weight')).toEqual([
      [Math.fround(9 / 25), 1],
      [0, 0],
    ]);
    expect(of('lamp', '1.weight')).toEqual([[Math.fround(1 / 5), 1]]);
    const ties = new Sequential(linearOf([[2, 2, -2, 1]]));
    expect(arrayIn(measures.lamp().measure({ model: ties }), '0.weight')).toEqual([
      [Math.fround(1 / 3), 0.5, 1, Math.fround(1 / 13)],
    ]);
  });

  it('random is of the generator that is given', () => {
    const drawn = (seed: number) =>
      numbersIn(measures.random().measure({ model, generator: new Generator(seed) }), '0.weight');
    expect(drawn(1)).toEqual(drawn(1));
    expect(drawn(1)).not.toEqual(drawn(2));
    expect(drawn(1).every((x) => x >= 0 && x < 1)).toBe(true);
  });
});

describe('measures of slopes', () => {
  // L_n = 1/2 (w x_n - t_n)^2 with w = 2: slopes (w x - t) x. For x = 1, t = 1: 1. For x = 2, t = 6: -4.
  const w = 2;
  const subject = (): Subject => ({
    model: new Small(parameter(tensor([w])), (x, weight) => x.mul(weight)),
    batches: () => [
      { x: tensor([1]), labels: Int32Array.of(1) },
      { x: tensor([2]), labels: Int32Array.of(6) },
    ],
    losses: (output, labels) => output.sub(tensor(labels)).square().mul(0.5),
  });
  const of = (name: MeasureName, options: object = {}) =>
    numbersIn(
      (measures[name] as (options: object) => ReturnType<typeof measureNamed>)(options).measure(subject()),
      'w',
    )[0];

  it('by hand: SNIP |w mean g|, Taylor mean |w g| or (w g)^2, GraSP w H g, OBD 1/2 H w^2', () => {
    expect(of('snip')).toBe(w * 1.5);
    expect(of('taylor', { form: 'absolute' })).toBe(w * 2.5);
    expect(of('taylor')).toBe((w * w * (1 + 16)) / 2);
    // H = mean x^2 = 2.5, g = -1.5.
    expect(of('grasp')).toBe(w * 2.5 * -1.5);
    expect(of('obd', { diagonal: 'exact' })).toBe(0.5 * 2.5 * w * w);
    // One weight: z H z is H whatever the sign.
    expect(of('obd', { samples: 1 })).toBe(0.5 * 2.5 * w * w);
  });

  it('by hand: the oracle is the change of the mean loss', () => {
    // At w = 0: (1 + 36) / 4; at w = 2: (1 + 4) / 4.
    expect(of('oracle')).toBe((37 - 5) / 4);
  });

  it('SNIP and Taylor are what a walk for each example gives', () => {
    const subject = everything(3);
    subject.model.eval();
    const named = subject.model.namedParameters();
    const leaves = named.map(([, leaf]) => leaf);
    const sums = leaves.map(({ size }) => ({
      g: new Float64Array(size),
      size: new Float64Array(size),
      square: new Float64Array(size),
    }));
    let examples = 0;
    for (const { x, labels } of subject.batches())
      for (let n = 0; n < labels.length; n++, examples++) {
        const losses = forwardLosses('test', subject, { x: x.slice([[n, n + 1]]), labels: labels.slice(n, n + 1) });
        gradients(losses.sum(), leaves).forEach((gradient, i) => {
          gradient!.toFloat32Array().forEach((g, k) => {
            sums[i]!.g[k]! += g;
            sums[i]!.size[k]! += Math.abs(g);
            sums[i]!.square[k]! += g * g;
          });
        });
      }
    const [snip, absolute, squared] = [measures.snip(), measures.taylor({ form: 'absolute' }), measures.taylor()].map(
      (one) => one.measure(subject),
    );
    named.forEach(([name, leaf], i) => {
      const weights = leaf.toFloat32Array();
      const { g, size, square } = sums[i]!;
      close(
        numbersIn(snip!, name),
        weights.map((w, k) => Math.abs(w * g[k]!) / examples),
      );
      close(
        numbersIn(absolute!, name),
        weights.map((w, k) => (Math.abs(w) * size[k]!) / examples),
      );
      close(
        numbersIn(squared!, name),
        weights.map((w, k) => (w * w * square[k]!) / examples),
      );
    });
    expect(examples).toBe(7);
  });

  it('the oracle is the loss with each weight at 0, less the loss, by weight and by unit', () => {
    const generator = new Generator(4);
    const model = new Sequential(new Linear(3, 2, { generator }), new Tanh(), new Linear(2, 2, { generator }));
    const batches = drawnBatches(generator, { count: 6, shape: [3], classes: 2 });
    const base = performance({ model, batches }).loss;
    const without = (changes: [name: string, elements: number[]][]): number => {
      const before = model.stateDict();
      const named = new Map(model.namedParameters());
      for (const [name, elements] of changes) {
        const numbers = named.get(name)!.toFloat32Array();
        for (const i of elements) numbers[i] = 0;
        noGrad(() => named.get(name)!.copy_(tensor(numbers, named.get(name)!.shape)));
      }
      const { loss } = performance({ model, batches });
      model.loadStateDict(before);
      return loss - base;
    };
    const alone = measures.oracle().measure({ model, batches });
    for (const [name, { size }] of model.namedParameters())
      close(
        numbersIn(alone, name),
        Array.from({ length: size }, (_, i) => without([[name, [i]]])),
      );
    const units = measures.oracle({ by: 'unit' }).measure({ model, batches });
    const second = without([
      ['0.weight', [3, 4, 5]],
      ['0.bias', [1]],
    ]);
    close(numbersIn(units, '0.weight').slice(3), [second, second, second]);
    close(numbersIn(units, '0.bias').slice(1), [second]);
    expect(() => measures.oracle({ limit: 3 }).measure({ model, batches })).toThrow(
      /^oracle: 14 removals, a pass over the data each, are more than the limit of 3\./,
    );
  });
});

describe('Fisher information and memory aware synapses', () => {
  it('by hand: two classes, one weight', () => {
    // Logits (w x, 0), w = 0: p = 1/2, d log p / dw = (1[c = 0] - 1/2) x: squares x^2 / 4, whatever the label.
    const model = new Small(parameter(tensor([0])), (x, w) => x.matmul(w.reshape([1, 1])).matmul(tensor([[1, 0]])));
    const batches = () => [{ x: tensor([[2], [4]]), labels: Int32Array.of(0, 1) }];
    for (const name of ['fisherExact', 'fisherSampled', 'fisherEmpirical'] as const)
      close(numbersIn(measureNamed(name).measure({ model, batches, generator: new Generator(1) }), 'w'), [
        (4 + 16) / 4 / 2,
      ]);
    noGrad(() => model.w.fill_(3));
    // ||f||^2 = w^2 x^2: |2 w x^2|.
    close(numbersIn(measures.memoryAwareSynapses().measure({ model, batches }), 'w'), [(6 * 4 + 6 * 16) / 2]);
  });

  it('Fisher-OBD is half of it times w^2, and zero labels do not matter to the exact one', () => {
    const subject = everything(6);
    const relabelled = {
      ...subject,
      batches: () => Array.from(subject.batches(), ({ x, labels }) => ({ x, labels: labels.map(() => 0) })),
    };
    const [exact, other, half] = [
      measures.fisherExact().measure(subject),
      measures.fisherExact().measure(relabelled),
      measures.fisherObd().measure(subject),
    ];
    for (const [name, leaf] of subject.model.namedParameters()) {
      expect(numbersIn(exact, name)).toEqual(numbersIn(other, name));
      const weights = leaf.toFloat32Array();
      close(
        numbersIn(half, name),
        numbersIn(exact, name).map((f, i) => 0.5 * f * weights[i]! ** 2),
        6,
      );
    }
  });

  it('the empirical one is the mean square of the gradients of examples', () => {
    const subject = everything(7);
    subject.model.eval();
    const named = subject.model.namedParameters();
    const sums = named.map(([, { size }]) => new Float64Array(size));
    for (const batch of subject.batches())
      perExampleGradients(
        forwardLosses('test', subject, batch),
        named.map(([, leaf]) => leaf),
      ).forEach((all, i) => {
        all.toFloat32Array().forEach((g, k) => {
          sums[i]![k % sums[i]!.length]! += g * g;
        });
      });
    const found = measures.fisherEmpirical().measure(subject);
    for (const [i, [name]] of named.entries())
      close(
        numbersIn(found, name),
        sums[i]!.map((sum) => sum / 7),
      );
  });
});
