/** The losses of experience replay and dark experience replay, against the formulas worked out from rows of outputs. */
import { describe, expect, it } from 'vitest';
import { ewc } from '../../../src/continual/anchoring/ewc.ts';
import { ContinualLearner } from '../../../src/continual/learner.ts';
import type { Method } from '../../../src/continual/method.ts';
import { agem } from '../../../src/continual/replay/agem.ts';
import { der, derpp } from '../../../src/continual/replay/der.ts';
import { er } from '../../../src/continual/replay/er.ts';
import type { Context, Head } from '../../../src/data/scenarios.ts';
import { formatCheckpoint, restoreCheckpoint } from '../../../src/io/checkpoint.ts';
import { add } from '../../../src/ops/binary.ts';
import { SGD } from '../../../src/optim/sgd.ts';
import { Generator } from '../../../src/random/generator.ts';
import { tensor } from '../../../src/tensor/create.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { batchOf, context, examples, network, outputsOf, read, surprise } from './toy.ts';

const generator = () => new Generator(1);

/** Examples with four random inputs and labels within a head. */
function some(count: number, index: number, head: Head): Context {
  const draw = new Generator(100 + index);
  const inputs = Array.from({ length: count }, () => Array.from({ length: 4 }, () => draw.normal()));
  const labels = inputs.map((_, i) => head[0] + (i % (head[1] - head[0])));
  return context(index, examples(inputs, labels), head);
}

const all = ({ train }: Context): number[] => [...train.labels.keys()];

/** A learner that does not move (unless lr is given), and the loss that comes out of its methods. */
function learner(outputs: number, methods: readonly Method[], lr = 0) {
  const model = network(outputs);
  let total = Number.NaN;
  const last: Method = {
    name: 'last',
    loss(loss) {
      total = loss.item();
      return loss;
    },
  };
  const made = new ContinualLearner({
    model,
    optimizer: new SGD(model.parameters(), { lr }),
    methods: [...methods, last],
  });
  const lossOn = (one: Context, rows = all(one)): number => {
    made.learn(batchOf(one, rows));
    return total;
  };
  const through = (one: Context): void => {
    made.begin(one);
    lossOn(one);
    made.end();
  };
  const own = (one: Context, head = one.head): number =>
    surprise(outputsOf(model, one.train.inputs(all(one))), one.train.labels, head);
  return { model, lossOn, through, own, made };
}

describe('experience replay', () => {
  const shared = [0, 1, 2].map((index) => some(6 + index, index, [0, 2]));
  const [first, second, third] = shared as [Context, Context, Context];

  it('counts the batch 1/t and what is replayed 1 - 1/t in context number t', () => {
    const { lossOn, through, own } = learner(2, [er({ perClass: 9, batchSize: 99, generator: generator() })]);
    expect(lossOn(first)).toBeCloseTo(own(first), 6);
    through(first);
    expect(lossOn(first)).toBeCloseTo(own(first), 6);
    expect(lossOn(second)).toBeCloseTo(own(second) / 2 + own(first) / 2, 6);
    through(second);
    const replayed = (6 * own(first) + 7 * own(second)) / 13;
    expect(lossOn(third)).toBeCloseTo(own(third) / 3 + (2 / 3) * replayed, 6);
  });

  it('adds both in full where asked', () => {
    const { lossOn, through, own } = learner(2, [
      er({ perClass: 9, batchSize: 99, weighting: 'sum', generator: generator() }),
    ]);
    through(first);
    expect(lossOn(second)).toBeCloseTo(own(second) + own(first), 6);
  });

  it('sends each context of a task scenario through its own head, and takes the mean of their losses', () => {
    const tasks = [some(4, 0, [0, 2]), some(8, 1, [2, 5]), some(5, 2, [5, 7])] as const;
    const { lossOn, through, own } = learner(7, [er({ perClass: 9, batchSize: 99, generator: generator() })]);
    through(tasks[0]);
    expect(lossOn(tasks[1])).toBeCloseTo(own(tasks[1]) / 2 + own(tasks[0]) / 2, 6);
    through(tasks[1]);
    expect(lossOn(tasks[2])).toBeCloseTo(own(tasks[2]) / 3 + (own(tasks[0]) + own(tasks[1])) / 3, 6);
  });

  it('asks for earlier classes among all columns of a head that has grown', () => {
    const [small, large] = [some(4, 0, [0, 2]), some(4, 1, [0, 4])];
    const { lossOn, through, own } = learner(4, [er({ perClass: 9, batchSize: 99, generator: generator() })]);
    through(small!);
    expect(lossOn(large!)).toBeCloseTo(own(large!) / 2 + own(small!, [0, 4]) / 2, 6);
  });

  it('replays from a reservoir all that was learned, the present context too, each through its head', () => {
    const tasks = [some(4, 0, [0, 2]), some(8, 1, [2, 4])] as const;
    const { lossOn, own } = learner(4, [
      er({ buffer: 'reservoir', capacity: 99, batchSize: 99, generator: generator() }),
    ]);
    expect(lossOn(tasks[0])).toBeCloseTo(own(tasks[0]), 6);
    expect(lossOn(tasks[0])).toBeCloseTo(2 * own(tasks[0]), 6);
    expect(lossOn(tasks[1])).toBeCloseTo(own(tasks[1]) + own(tasks[0]), 6);
    const replayed = (8 * own(tasks[0]) + 8 * own(tasks[1])) / 16;
    expect(lossOn(tasks[1])).toBeCloseTo(own(tasks[1]) + replayed, 6);
  });

  it('weighs a reservoir by the number of contexts where asked, and asks each example where its columns are', () => {
    const tasks = [some(4, 0, [0, 2]), some(8, 1, [4, 6]), some(5, 2, [0, 3])] as const;
    const { lossOn, own } = learner(6, [
      er({ buffer: 'reservoir', capacity: 99, batchSize: 99, weighting: 'contexts', generator: generator() }),
    ]);
    lossOn(tasks[0]);
    expect(lossOn(tasks[0])).toBeCloseTo(own(tasks[0]), 6);
    lossOn(tasks[1]);
    const before = (8 * own(tasks[0]) + 8 * own(tasks[1])) / 16;
    expect(lossOn(tasks[1])).toBeCloseTo(own(tasks[1]) / 2 + before / 2, 6);
    // The first head lies within the present one, the second does not.
    const replayed = (8 * own(tasks[0], [0, 3]) + 16 * own(tasks[1])) / 24;
    expect(lossOn(tasks[2])).toBeCloseTo(own(tasks[2]) / 3 + (2 / 3) * replayed, 6);
  });

  it('weighs the loss of the batch alone: what other methods add counts in full, before it or after it', () => {
    const ten = tensor(10);
    const penalty: Method = { name: 'penalty', loss: (loss) => add(loss, ten) };
    const make = (): Method => er({ perClass: 9, batchSize: 99, generator: generator() });
    const before = learner(2, [penalty, make()]);
    const after = learner(2, [make(), penalty]);
    for (const { through } of [before, after]) for (const one of [first, second]) through(one);
    const plain = before.own(third) / 3 + (2 / 3) * ((6 * before.own(first) + 7 * before.own(second)) / 13);
    expect(before.lossOn(third)).toBeCloseTo(plain + 10, 5);
    expect(after.lossOn(third)).toBeCloseTo(plain + 10, 5);
  });

  it('and so it is with gradients: anchors hold as firmly, whichever stands first', () => {
    const steps = (order: (replay: Method, anchors: Method) => Method[], lambda = 50) => {
      const replay = er({ perClass: 9, batchSize: 99, generator: generator() });
      const { model, lossOn, through } = learner(2, order(replay, ewc({ lambda })), 0.05);
      for (const one of [first, second]) through(one);
      for (let i = 0; i < 3; i++) lossOn(third);
      return model.parameters().flatMap(read);
    };
    const distance = (a: readonly number[], b: readonly number[]): number => Math.hypot(...a.map((x, i) => x - b[i]!));
    const after = steps((replay, anchors) => [replay, anchors]);
    expect(
      distance(
        steps((replay, anchors) => [anchors, replay]),
        after,
      ),
    ).toBeLessThan(1e-5);
    expect(
      distance(
        steps((replay, anchors) => [replay, anchors], 50 / 3),
        after,
      ),
    ).toBeGreaterThan(1e-3);
  });

  it('goes on from a checkpoint as it would have gone on', () => {
    const options = [
      { perClass: 2, batchSize: 3 },
      { buffer: 'reservoir', capacity: 5, batchSize: 3, weighting: 'contexts' },
    ] as const;
    for (const one of options) {
      const [here, there] = [1, 2].map((seed) => er({ ...one, generator: new Generator(seed) })) as [
        ReturnType<typeof er>,
        ReturnType<typeof er>,
      ];
      const a = learner(2, [here], 0.1);
      a.through(first);
      a.lossOn(second);
      restoreCheckpoint(formatCheckpoint({ algorithm: here }), { algorithm: there });
      const b = learner(2, [there], 0.1);
      b.model.loadStateDict(a.model.stateDict());
      for (let i = 0; i < 4; i++) expect(b.lossOn(second)).toBe(a.lossOn(second));
    }
    const saved = er({ generator: generator() }).stateDict();
    const other = er({ buffer: 'reservoir', capacity: 200, generator: generator() });
    expect(() => other.loadStateDict(saved)).toThrow(/state is of the buffer 'class'.*has the buffer 'reservoir'/);
  });

  it('draws, unless it is told how many, no more than a small reservoir has room for', () => {
    const small = { capacity: 3, generator: generator() };
    const drawn = (method: Method): number[] => {
      const { model, lossOn } = learner(2, [method]);
      const sizes: number[] = [];
      const forward = model.forward.bind(model);
      model.forward = (x: Tensor) => {
        sizes.push(x.shape[0]!);
        return forward(x);
      };
      lossOn(first);
      lossOn(first);
      return sizes.slice(2);
    };
    expect(drawn(er({ buffer: 'reservoir', ...small }))).toEqual([3]);
    expect(drawn(derpp({ alpha: 1, beta: 1, ...small }))).toEqual([3, 3]);
    expect(() => agem({ buffer: 'reservoir', ...small })).not.toThrow();
  });

  it('says what is out of range when it is made', () => {
    const g = generator();
    expect(() => er({} as never)).toThrow(/er: what is kept and drawn is decided by a generator, but none was given/);
    expect(() => er({ perClass: 0, generator: g })).toThrow(/er: perClass is a number of examples.*not 0/);
    expect(() => er({ batchSize: 1.5, generator: g })).toThrow(/er: batchSize is a number of examples.*not 1.5/);
    expect(() => er({ capacity: 5, generator: g })).toThrow(/capacity is for a reservoir/);
    expect(() => er({ buffer: 'reservoir', perClass: 5, generator: g })).toThrow(/perClass is for the buffer 'class'/);
    expect(() => er({ buffer: 'reservoir', generator: g })).toThrow(/er: capacity is a number of examples/);
    expect(() => er({ buffer: 'reservoir', capacity: 0, generator: g })).toThrow(/capacity.*not 0/);
    expect(() => er({ buffer: 'reservoir', capacity: 100, batchSize: 128, generator: g })).toThrow(
      /128 examples cannot be drawn from a reservoir of 100/,
    );
    expect(() => er({ buffer: 'ring' as 'class', generator: g })).toThrow(/buffer is 'class' or 'reservoir', not ring/);
    expect(() => er({ weighting: 'mean' as 'sum', generator: g })).toThrow(
      /weighting is 'contexts' or 'sum', not mean/,
    );
  });
});

describe('dark experience replay', () => {
  const one = some(6, 0, [0, 3]);
  /** Mean squared difference of two tables, in double precision, among columns. */
  const squared = (a: readonly number[][], b: readonly number[][], [from, to]: Head): number => {
    const differences = a.flatMap((row, i) => row.slice(from, to).map((z, j) => (z - b[i]![from + j]!) ** 2));
    return differences.reduce((sum, d) => sum + d, 0) / differences.length;
  };

  it('holds the outputs to those of the step in which an example came', () => {
    const method = der({ capacity: 6, batchSize: 6, alpha: 0.7, generator: generator() });
    const { model, lossOn, own } = learner(3, [method], 0.3);
    const x = one.train.inputs(all(one));
    const then = outputsOf(model, x);
    const before = own(one);
    expect(lossOn(one)).toBeCloseTo(before, 6);
    expect(read(tensor(method.stateDict().store.logits!))).toEqual(read(tensor(then)));
    const now = outputsOf(model, x);
    expect(squared(now, then, [0, 3])).toBeGreaterThan(1e-3);
    // Drawn before the second batch may come in.
    const loss = own(one) + 0.7 * squared(now, then, [0, 3]);
    expect(lossOn(one)).toBeCloseTo(loss, 6);
  });

  it('compares only the columns of the head in which an example came', () => {
    const tasks = [some(4, 0, [0, 2]), some(6, 1, [2, 5])] as const;
    const { model, lossOn, own } = learner(5, [der({ capacity: 99, batchSize: 99, alpha: 2, generator: generator() })]);
    const outputs = (task: Context) => outputsOf(model, task.train.inputs(all(task)));
    lossOn(tasks[0]);
    lossOn(tasks[1]);
    const then = tasks.map(outputs);
    for (const parameter of model.parameters()) parameter.requiresGrad_(false).add_(0.1).requiresGrad_();
    const now = tasks.map(outputs);
    const errors = [squared(now[0]!, then[0]!, [0, 2]), squared(now[1]!, then[1]!, [2, 5])] as const;
    const expected = own(tasks[1]) + 2 * (0.4 * errors[0] + 0.6 * errors[1]);
    expect(lossOn(tasks[1])).toBeCloseTo(expected, 5);
  });

  it('adds, in the form with labels, the cross-entropy of a second draw', () => {
    const { model, lossOn, own } = learner(
      3,
      [derpp({ capacity: 6, batchSize: 6, alpha: 0.7, beta: 0.4, generator: generator() })],
      0.3,
    );
    const x = one.train.inputs(all(one));
    const then = outputsOf(model, x);
    lossOn(one);
    const expected = own(one) + 0.7 * squared(outputsOf(model, x), then, [0, 3]) + 0.4 * own(one);
    expect(lossOn(one)).toBeCloseTo(expected, 6);
  });

  it('draws twice, each draw independent of the other', () => {
    const seen: string[][] = [];
    const method = derpp({ capacity: 6, batchSize: 2, alpha: 1, beta: 1, generator: generator() });
    const { model, lossOn } = learner(3, [method]);
    lossOn(one);
    const forward = model.forward.bind(model);
    model.forward = (x: Tensor) => {
      if (x.shape[0] === 2) seen.at(-1)!.push(String(read(x)));
      return forward(x);
    };
    for (let i = 0; i < 20; i++) {
      seen.push([]);
      lossOn(one);
    }
    expect(seen.every((draws) => draws.length === 2)).toBe(true);
    const same = seen.filter(([a, b]) => a === b).length;
    expect(same).toBeLessThan(8);
  });

  it('goes on from a checkpoint as it would have gone on', () => {
    const [here, there] = [1, 2].map((seed) =>
      derpp({ capacity: 4, batchSize: 2, alpha: 1, beta: 0.5, generator: new Generator(seed) }),
    ) as [ReturnType<typeof derpp>, ReturnType<typeof derpp>];
    const a = learner(3, [here], 0.1);
    for (let i = 0; i < 3; i++) a.lossOn(one);
    restoreCheckpoint(formatCheckpoint({ algorithm: here }), { algorithm: there });
    const b = learner(3, [there], 0.1);
    b.model.loadStateDict(a.model.stateDict());
    for (let i = 0; i < 4; i++) expect(b.lossOn(one)).toBe(a.lossOn(one));
  });

  it('says what is out of range when it is made', () => {
    const good = { capacity: 200, alpha: 1, beta: 1, generator: generator() };
    expect(() => der({ ...good, capacity: 0 })).toThrow(/der: capacity is a number of examples.*not 0/);
    expect(() => der({ ...good, alpha: -1 })).toThrow(/der: alpha is a finite number from 0 up, not -1/);
    expect(() => derpp({ ...good, alpha: Number.NaN })).toThrow(/derpp: alpha is a finite number/);
    expect(() => derpp({ ...good, beta: -0.5 })).toThrow(/derpp: beta is a finite number from 0 up, not -0.5/);
    expect(() => derpp({ capacity: 200, alpha: 1 } as never)).toThrow(/derpp: beta/);
    expect(() => der({ ...good, batchSize: 300 })).toThrow(/300 examples cannot be drawn from a reservoir of 200/);
    expect(() => der({ capacity: 200, alpha: 1 } as never)).toThrow(/der: .*generator, but none was given/);
  });
});
