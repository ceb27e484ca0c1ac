import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Context,
  type Examples,
  permutedScenario,
  rotatedScenario,
  type Scenario,
  type ScenarioData,
  splitScenario,
} from '../../src/data/scenarios.ts';
import { permutedStream, rotatedStream, type StreamData } from '../../src/data/streams.ts';

/** Examples of one number each, 100 times the label plus a count: no two are alike. */
const part = (labels: readonly number[], from = 0) => ({
  inputs: Float32Array.from(labels, (label, i) => 100 * label + from + i),
  labels,
});
const data = (train: readonly number[], test = train): ScenarioData => ({
  train: part(train),
  test: part(test, 50),
  shape: [1],
});

const all = ({ labels, inputs }: Examples): number[][] => {
  const x = inputs(labels.map((_, i) => i));
  expect(x.shape[0]).toBe(labels.length);
  const size = x.size / labels.length;
  const numbers = [...x.toFloat32Array()];
  return Array.from(labels, (_, i) => numbers.slice(i * size, (i + 1) * size));
};
const labelsOf = (examples: Examples) => [...examples.labels];
const headsOf = ({ contexts }: Scenario) => contexts.map(({ head }) => head);
const both = (context: Context) => [context.train, context.test] as const;

describe('splitScenario', () => {
  const digits = [0, 5, 3, 1, 4, 2, 2, 0, 1, 5];

  it('gives each context its own classes, in the order of the data', () => {
    const { contexts, inputShape } = splitScenario(data(digits, [5, 4, 3, 2, 1, 0]), { kind: 'class' });
    expect(contexts.map(({ train }) => all(train).flat())).toEqual([
      [0, 103, 7, 108],
      [302, 205, 206],
      [501, 404, 509],
    ]);
    expect(contexts.map(({ test }) => all(test).flat())).toEqual([
      [154, 55],
      [352, 253],
      [550, 451],
    ]);
    expect(contexts.map(({ index, kind }) => [index, kind])).toEqual([0, 1, 2].map((i) => [i, 'class']));
    expect(inputShape).toEqual([1]);
  });

  it('has as task a head of its own for each context, and labels that are its columns', () => {
    const scenario = splitScenario(data(digits), { kind: 'task' });
    expect([scenario.outputs, headsOf(scenario)]).toEqual([
      6,
      [
        [0, 2],
        [2, 4],
        [4, 6],
      ],
    ]);
    expect(scenario.contexts.map(({ train }) => labelsOf(train))).toEqual([
      [0, 1, 0, 1],
      [3, 2, 2],
      [5, 4, 5],
    ]);
  });

  it('has as domain outputs that all contexts share, and labels that are the place in the context', () => {
    const scenario = splitScenario(data(digits), { kind: 'domain' });
    expect([scenario.outputs, headsOf(scenario)]).toEqual([
      2,
      [
        [0, 2],
        [0, 2],
        [0, 2],
      ],
    ]);
    expect(scenario.contexts.map(({ train }) => labelsOf(train))).toEqual([
      [0, 1, 0, 1],
      [1, 0, 0],
      [1, 0, 1],
    ]);
  });

  it('has as class all columns in each head from the first context on, or those seen so far', () => {
    const scenario = splitScenario(data(digits), { kind: 'class' });
    expect([scenario.outputs, headsOf(scenario)]).toEqual([
      6,
      [
        [0, 6],
        [0, 6],
        [0, 6],
      ],
    ]);
    const seen = splitScenario(data(digits), { kind: 'class', activeClasses: 'seen' });
    expect([seen.outputs, headsOf(seen)]).toEqual([
      6,
      [
        [0, 2],
        [0, 4],
        [0, 6],
      ],
    ]);
    for (const { contexts } of [scenario, seen])
      expect(contexts.map(({ train }) => labelsOf(train))).toEqual([
        [0, 1, 0, 1],
        [3, 2, 2],
        [5, 4, 5],
      ]);
  });

  it('takes the classes in the order given, as the published runs list their digits', () => {
    // Of the run with seed 1: digits by context are 4 6, 0 5, 3 9, 2 7, 8 1.
    const order = [4, 6, 0, 5, 3, 9, 2, 7, 8, 1];
    const labels = Array.from({ length: 10 }, (_, digit) => digit);
    const contexts = (kind: 'task' | 'domain' | 'class') => splitScenario(data(labels), { kind, order }).contexts;
    const digitsAndLabels = ({ train }: Context) => all(train).map(([x], i) => [Math.floor(x! / 100), train.labels[i]]);
    expect(contexts('class').map(digitsAndLabels)).toEqual([
      [
        [4, 0],
        [6, 1],
      ],
      [
        [0, 2],
        [5, 3],
      ],
      [
        [3, 4],
        [9, 5],
      ],
      [
        [2, 6],
        [7, 7],
      ],
      [
        [1, 9],
        [8, 8],
      ],
    ]);
    expect(contexts('domain')[4]!.train.labels).toEqual(Int32Array.of(1, 0));
  });

  it('is what the formulas say for any order, number of classes and data', () => {
    const orders = fc
      .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }))
      .chain(([contexts, width]) => {
        const classes = Array.from({ length: contexts * width }, (_, i) => i);
        return fc.record({
          order: fc.shuffledSubarray(classes, { minLength: classes.length }),
          width: fc.constant(width),
          extra: fc.array(fc.constantFrom(...classes), { maxLength: 10 }),
        });
      });
    fc.assert(
      fc.property(orders, fc.constantFrom('task' as const, 'domain' as const, 'class' as const), (drawn, kind) => {
        const { order, width, extra } = drawn;
        const labels = [...extra, ...order];
        const set = data(labels, [...order].reverse());
        const scenario = splitScenario(set, { kind, order, classesPerContext: width });
        const seen: number[] = [];
        for (const context of scenario.contexts)
          for (const examples of both(context))
            all(examples).forEach(([x], i) => {
              const known = order.indexOf(Math.floor(x! / 100));
              expect(Math.floor(known / width)).toBe(context.index);
              expect(examples.labels[i]).toBe(kind === 'domain' ? known % width : known);
              expect(examples.labels[i]).toBeGreaterThanOrEqual(context.head[0]);
              expect(examples.labels[i]).toBeLessThan(context.head[1]);
              expect(context.head[1]).toBeLessThanOrEqual(scenario.outputs);
              seen.push(x!);
            });
        const there = [set.train, set.test].flatMap(({ inputs }) => Array.from(inputs));
        expect(seen.sort((a, b) => a - b)).toEqual(there.sort((a, b) => a - b));
      }),
      { numRuns: 60 },
    );
  });

  it('gives any rows as a batch, repeated ones too, in the shape and scale that were told', () => {
    const set = { inputs: Uint8Array.from({ length: 24 }, (_, i) => 10 * i), labels: Uint8Array.of(0, 1, 0, 1) };
    const { contexts, inputShape } = splitScenario(
      { train: set, test: set, shape: [1, 2, 3], scale: 0.5 },
      { kind: 'task' },
    );
    const x = contexts[0]!.train.inputs([2, 0, 2]);
    expect(x.shape).toEqual([3, 1, 2, 3]);
    expect(inputShape).toEqual([1, 2, 3]);
    const row = (n: number) => [0, 1, 2, 3, 4, 5].map((i) => 5 * (6 * n + i));
    expect([...x.toFloat32Array()]).toEqual([...row(2), ...row(0), ...row(2)]);
    expect(contexts[0]!.train.inputs([]).shape).toEqual([0, 1, 2, 3]);
    expect(() => contexts[0]!.train.inputs([4])).toThrow(
      'splitScenario: there is no example 4 in this context; it has 0 to 3.',
    );
    expect(() => contexts[0]!.train.inputs([-1])).toThrow(/there is no example -1/);
  });

  it('makes of each byte by 1 / 255 the float32 that a division gives', () => {
    const bytes = { inputs: Uint8Array.from({ length: 256 }, (_, i) => i), labels: [0] };
    const { contexts } = splitScenario(
      { train: bytes, test: bytes, shape: [256], scale: 1 / 255 },
      { kind: 'class', classesPerContext: 1 },
    );
    expect(all(contexts[0]!.test)[0]).toEqual(Array.from({ length: 256 }, (_, i) => Math.fround(i / 255)));
  });

  it('says what is wrong before anything is learned', () => {
    const split = (set: ScenarioData, options: object) => () =>
      splitScenario(set, { kind: 'task', ...options } as Parameters<typeof splitScenario>[1]);
    const good = data([0, 1, 2, 3]);
    expect(split(good, {})).not.toThrow();
    expect(split(good, { kind: 'tasks' })).toThrow("kind must be 'task', 'domain' or 'class', but it is tasks.");
    expect(split(good, { classesPerContext: 3 })).toThrow('4 classes do not make whole contexts of 3');
    expect(split(good, { classesPerContext: 0 })).toThrow('classesPerContext must be an integer from 1 up');
    expect(split(good, { activeClasses: 'seen' })).toThrow(
      "activeClasses is for the kind 'class', but the kind is 'task'",
    );
    expect(split(good, { kind: 'class', activeClasses: 'some' })).toThrow("activeClasses must be 'all' or 'seen'");
    expect(split(good, { order: [0, 1, 2, 2] })).toThrow('order must name each of 4 labels once, but 2 comes twice.');
    expect(split(good, { order: [0, 1, 2, 4] })).toThrow('order[3] must be an integer from 0 to 3, but it is 4.');
    expect(split(good, { order: [0, 1] })).toThrow('training label 2 must be an integer from 0 to 1, but it is 2.');
    expect(split(good, { order: [] })).toThrow('training label 0 must be');
    expect(split(data([0, 1], [0, 1, 2]), {})).toThrow('test label 2 must be an integer from 0 to 1, but it is 2.');
    expect(split(data([0, 1.5]), {})).toThrow('training label 1 must be an integer from 0');
    expect(split(data([0, -1]), {})).toThrow('training label 1 must be an integer from 0');
    expect(split(data([0, 1, 3]), { classesPerContext: 2 })).not.toThrow();
    expect(split(data([0, 1, 5]), {})).toThrow('splitScenario: context 1 has no training examples.');
    expect(split(data([0, 1, 2, 3], [0, 1]), {})).toThrow('splitScenario: context 1 has no test examples.');
    expect(split(data([]), {})).toThrow('0 training labels and inputs of shape [1] go with 0 numbers, at least one');
    expect(split({ ...good, shape: [2] }, {})).toThrow(
      '4 training labels and inputs of shape [2] go with 8 numbers, at least one, but there are 4.',
    );
    expect(split({ ...good, test: { inputs: [1], labels: [0, 1] } }, {})).toThrow(
      '2 test labels and inputs of shape [1]',
    );
    expect(split({ ...good, shape: [0] }, {})).toThrow(/at least one/);
    expect(split({ ...good, shape: [1.5] }, {})).toThrow(/splitScenario/);
    expect(split({ ...good, scale: Number.NaN }, {})).toThrow('scale must be a finite number, but it is NaN.');
  });
});

/** Three images of 2 x 3 pixels, no two alike, of classes 0, 1, 0. */
const images = { inputs: Uint8Array.from({ length: 18 }, (_, i) => i + 1), labels: [0, 1, 0] };
const imageData: ScenarioData = {
  train: images,
  test: { inputs: images.inputs.slice(6, 12), labels: [1] },
  shape: [2, 3],
};

/** The inputs of a stream's task, in the order of the data. */
function taskOf(stream: ReturnType<typeof permutedStream>, { inputs, labels }: StreamData, task: number): number[][] {
  const [out, classes] = [new Float32Array(inputs.length), new Int32Array(labels.length)];
  stream.fill(task * labels.length, out, classes);
  const size = inputs.length / labels.length;
  const rows = Array.from(labels, (_, i) => [...out.subarray(i * size, (i + 1) * size)]);
  return rows.sort((a, b) => Math.max(...a) - Math.max(...b));
}

describe('permutedScenario', () => {
  it('permutes all inputs of a context in one way, those of permutedStream, and of another in another', () => {
    const options = { seed: 5, contexts: 4 };
    const { contexts, inputShape } = permutedScenario(imageData, { ...options, kind: 'domain' });
    const stream = permutedStream(images, { seed: 5 });
    const trained = contexts.map(({ train }) => all(train));
    expect(trained).toEqual([0, 1, 2, 3].map((task) => taskOf(stream, images, task)));
    expect(contexts.map(({ test }) => all(test)[0])).toEqual(trained.map((inputs) => inputs[1]));
    expect(new Set(trained.map(String)).size).toBe(4);
    expect(inputShape).toEqual([2, 3]);
    expect(contexts[0]!.train.inputs([0]).shape).toEqual([1, 2, 3]);
  });

  it('leaves the first context as it is where that is asked, and the others the same', () => {
    const { contexts } = permutedScenario(imageData, { kind: 'domain', seed: 5, contexts: 3, first: 'identity' });
    const permuted = permutedScenario(imageData, { kind: 'domain', seed: 5, contexts: 3 }).contexts;
    expect(all(contexts[0]!.train).flat()).toEqual([...images.inputs]);
    for (const i of [1, 2]) expect(all(contexts[i]!.train)).toEqual(all(permuted[i]!.train));
    expect(all(permuted[0]!.train)).not.toEqual(all(contexts[0]!.train));
  });

  it('has outputs for each context as task and class, and shared ones as domain', () => {
    const made = (kind: 'task' | 'domain' | 'class', more = {}) => {
      const scenario = permutedScenario(imageData, { kind, seed: 1, contexts: 3, ...more });
      return [scenario.outputs, headsOf(scenario), scenario.contexts.map(({ train }) => labelsOf(train))];
    };
    const own = [
      [0, 1, 0],
      [2, 3, 2],
      [4, 5, 4],
    ];
    expect(made('task')).toEqual([
      6,
      [
        [0, 2],
        [2, 4],
        [4, 6],
      ],
      own,
    ]);
    expect(made('class')).toEqual([
      6,
      [
        [0, 6],
        [0, 6],
        [0, 6],
      ],
      own,
    ]);
    expect(made('class', { activeClasses: 'seen' })).toEqual([
      6,
      [
        [0, 2],
        [0, 4],
        [0, 6],
      ],
      own,
    ]);
    expect(made('domain')).toEqual([
      2,
      [
        [0, 2],
        [0, 2],
        [0, 2],
      ],
      [
        [0, 1, 0],
        [0, 1, 0],
        [0, 1, 0],
      ],
    ]);
  });

  it('puts a margin of zeros around images before it permutes them; the larger half below and to the right', () => {
    const options = { kind: 'domain', seed: 1, contexts: 2, first: 'identity', pad: 5 } as const;
    const scenario = permutedScenario({ ...imageData, scale: 2 }, options);
    expect(scenario.inputShape).toEqual([5, 5]);
    expect(scenario.contexts[0]!.train.inputs([1]).toArray()).toEqual([
      [
        [0, 0, 0, 0, 0],
        [0, 14, 16, 18, 0],
        [0, 20, 22, 24, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
      ],
    ]);
    const [permuted] = all(scenario.contexts[1]!.train);
    expect(permuted!.filter((x) => x > 0).sort((a, b) => a - b)).toEqual([2, 4, 6, 8, 10, 12]);
    // The margin is permuted too: numbers land beyond the image's own places.
    const inside = [6, 7, 8, 11, 12, 13];
    expect(permuted!.some((x, i) => x > 0 && !inside.includes(i))).toBe(true);
  });

  it('pads planes one by one, and square images that come as one axis', () => {
    const set = { inputs: [1, 2, 3, 4], labels: [0] };
    const options = { kind: 'domain', seed: 1, contexts: 1, first: 'identity', pad: 4 } as const;
    const flat = permutedScenario({ train: set, test: set, shape: [4] }, options);
    expect(flat.inputShape).toEqual([16]);
    expect(all(flat.contexts[0]!.train)[0]).toEqual([0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0]);
    const planes = permutedScenario({ train: set, test: set, shape: [4, 1, 1] }, { ...options, pad: 2 });
    expect(planes.inputShape).toEqual([4, 2, 2]);
    expect(all(planes.contexts[0]!.train)[0]).toEqual([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0]);
  });

  it('says what is wrong', () => {
    const permuted =
      (options: object, set = imageData) =>
      () =>
        permutedScenario(set, { kind: 'domain', contexts: 2, seed: 1, ...options } as Parameters<
          typeof permutedScenario
        >[1]);
    expect(permuted({ contexts: 0 })).toThrow('permutedScenario: contexts must be an integer from 1 up, but it is 0.');
    expect(permuted({ seed: 0.5 })).toThrow(/seed must be an integer/);
    expect(permuted({ first: 'same' })).toThrow("first must be 'identity' or 'permuted', but it is same.");
    expect(permuted({ pad: 2 })).toThrow(
      'pad (the side of the padded image) must be an integer from 3 up, but it is 2.',
    );
    expect(permuted({ pad: 9 }, { ...imageData, shape: [6] })).toThrow('inputs of shape [6] are no images.');
    expect(permuted({ kind: 'all' })).toThrow(/kind must be/);
    expect(permuted({}, { ...imageData, shape: [4] })).toThrow(/3 training labels and inputs of shape \[4\]/);
  });
});

describe('rotatedScenario', () => {
  it('turns images as rotatedStream does, and not at all by 0 degrees', () => {
    const angles = [0, 30, 60, 90];
    const { contexts, inputShape } = rotatedScenario(imageData, { kind: 'domain', angles });
    const stream = rotatedStream(images, { seed: 1, height: 2, width: 3, degrees: 30 });
    expect(all(contexts[0]!.train).flat()).toEqual([...images.inputs]);
    expect(contexts.map(({ train }) => all(train))).toEqual([0, 1, 2, 3].map((task) => taskOf(stream, images, task)));
    expect(all(contexts[1]!.test)[0]).toEqual(all(contexts[1]!.train)[1]);
    expect(inputShape).toEqual([2, 3]);
  });

  it('turns each plane for itself, and scales', () => {
    const set = { inputs: Array.from({ length: 16 }, (_, i) => i + 1), labels: [0, 0] };
    const options = { kind: 'task', angles: [90, 180] } as const;
    const scenario = rotatedScenario({ train: set, test: set, shape: [2, 2, 2], scale: 10 }, options);
    const rounded = ({ train }: Context) => all(train).flat().map(Math.round);
    expect(scenario.contexts.map(rounded)).toEqual([
      [20, 40, 10, 30, 60, 80, 50, 70, 100, 120, 90, 110, 140, 160, 130, 150],
      [40, 30, 20, 10, 80, 70, 60, 50, 120, 110, 100, 90, 160, 150, 140, 130],
    ]);
    expect([scenario.outputs, headsOf(scenario)]).toEqual([
      2,
      [
        [0, 1],
        [1, 2],
      ],
    ]);
  });

  it('says what is wrong', () => {
    const rotated =
      (angles: number[], set = imageData) =>
      () =>
        rotatedScenario(set, { kind: 'domain', angles });
    expect(rotated([])).toThrow('rotatedScenario: there are no angles');
    expect(rotated([0, Number.NaN])).toThrow('angles must be finite numbers of degrees, but one is NaN.');
    expect(rotated([0], { ...imageData, shape: [6] })).toThrow('inputs of shape [6] are no images.');
  });
});
