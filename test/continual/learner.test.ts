import { describe, expect, it } from 'vitest';
import { evaluate } from '../../src/continual/evaluate.ts';
import { ContinualLearner, headLoss, SeparateNetworks } from '../../src/continual/learner.ts';
import type { Method } from '../../src/continual/method.ts';
import { type Batch, type Context, splitScenario } from '../../src/data/scenarios.ts';
import { contextBatches } from '../../src/data/scenarios-batches.ts';
import {
  Adam,
  crossEntropy,
  Dropout,
  Generator,
  Linear,
  Module,
  memoryInUse,
  noGrad,
  ReLU,
  randn,
  Sequential,
  SGD,
  type Tensor,
  tensor,
} from '../../src/index.ts';

const network = (seed = 1, outputs = 4) => {
  const generator = new Generator(seed);
  return new Sequential(new Linear(3, 8, { generator }), new ReLU(), new Linear(8, outputs, { generator }));
};
const numbers = (model: Module) => model.parameters().map((w) => [...w.toFloat32Array()]);

/** Says what it is given: the output is its input. */
class Echo extends Module {
  override forward(x: Tensor): Tensor {
    return x;
  }
}
const echo = () => new ContinualLearner({ model: new Echo(), optimizer: { zeroGrad() {}, step() {} } });

function batchesOf(count: number, head: readonly [number, number] = [0, 4], context = 0, rows = 5): Batch[] {
  const generator = new Generator(11);
  return Array.from({ length: count }, () => ({
    x: randn([rows, 3], { generator }),
    labels: Int32Array.from({ length: rows }, () => head[0] + generator.integer(head[1] - head[0])),
    head,
    context,
  }));
}

const scenario = (kind: 'task' | 'domain' | 'class', more = {}) => {
  const labels = [0, 1, 2, 3, 0, 1, 2, 3, 3];
  const part = (last: number) => ({ inputs: labels.flatMap((label, i) => [label, i, last]), labels });
  return splitScenario({ train: part(1), test: part(1.01), shape: [3] }, { kind, ...more });
};
const [first, second] = scenario('class').contexts as [Context, Context];

/** Writes down each hook that is called, and what it is told. */
function witness(name: string, log: string[]): Method {
  return {
    name,
    begin: ({ index }) => log.push(`${name} begin ${index}`),
    prepare: (context, step) => log.push(`${name} prepare ${context} ${step}`),
    loss(loss, { index }) {
      log.push(`${name} loss ${index}`);
      return loss;
    },
    gradients: ({ index }) => log.push(`${name} gradients ${index}`),
    stepped: ({ index }) => log.push(`${name} stepped ${index}`),
    end: ({ index }) => log.push(`${name} end ${index}`),
  };
}

/** A learner of two witnesses, whose model and optimizer write down what is asked of them too. */
function witnessed() {
  const log: string[] = [];
  class Witness extends Module {
    readonly inner = new Linear(3, 4, { generator: new Generator(1) });
    override forward(x: Tensor): Tensor {
      log.push('forward');
      return this.inner.forward(x);
    }
  }
  const model = new Witness();
  const optimizer = { zeroGrad: () => log.push('zeroGrad'), step: () => log.push('step') };
  const learner = new ContinualLearner({ model, optimizer, methods: [witness('a', log), witness('b', log)] });
  const during = (body: () => void) => {
    log.length = 0;
    body();
    return [...log];
  };
  return { learner, during };
}

describe('hooks', () => {
  const [batch] = batchesOf(1, [0, 4], 1) as [Batch];

  it('are called around a step in the order of the methods', () => {
    const { learner, during } = witnessed();
    const step = (context: number, index: number) => [
      ...[
        `a prepare ${context} ${index}`,
        `b prepare ${context} ${index}`,
        'forward',
        `a loss ${index}`,
        `b loss ${index}`,
      ],
      ...[
        'zeroGrad',
        `a gradients ${index}`,
        `b gradients ${index}`,
        'step',
        `a stepped ${index}`,
        `b stepped ${index}`,
      ],
    ];
    expect(during(() => learner.begin(first))).toEqual(['a begin 0', 'b begin 0']);
    expect(during(() => learner.learn({ ...batch, context: 0 }))).toEqual(step(0, 0));
    expect(during(() => learner.learn({ ...batch, context: 0 }))).toEqual(step(0, 1));
    expect(during(() => learner.end())).toEqual(['a end 0', 'b end 0']);
    // Steps count from 0 in each context.
    expect(during(() => learner.begin(second))).toEqual(['a begin 1', 'b begin 1']);
    expect(during(() => learner.learn(batch))).toEqual(step(1, 0));
    expect(during(() => learner.end())).toEqual(['a end 1', 'b end 1']);
  });

  it('are called around a question: of which context, or null, and no step', () => {
    const { learner, during } = witnessed();
    expect(during(() => learner.predict(batch.x, [0, 4], 1))).toEqual([
      'a prepare 1 null',
      'b prepare 1 null',
      'forward',
    ]);
    expect(during(() => learner.predict(batch.x, [0, 4], null))[0]).toBe('a prepare null null');
  });

  it('work without begin and end, steps counted on', () => {
    const { learner, during } = witnessed();
    learner.learn(batch);
    expect(during(() => learner.learn(batch))).toContain('a stepped 1');
  });

  it('see the batch, the output before the step, the losses of those before them, and the parameters by name', () => {
    const model = network();
    const before = noGrad(() => model.forward(batch.x).toArray());
    let seen = 0;
    const loss: Method['loss'] = (loss, { batch: given, output, learning }) => {
      seen++;
      expect(given).toBe(batch);
      expect(output.toArray()).toEqual(before);
      expect([...learning.parameters.keys()]).toEqual(['0.weight', '0.bias', '2.weight', '2.bias']);
      expect(learning.parameters.get('2.bias')).toBe(model.parameters()[3]);
      expect(learning.model).toBe(model);
      expect(loss.item()).toBeCloseTo(seen * learning.lossOf(output, batch.labels, batch.head).item(), 5);
      return loss.mul(2);
    };
    const methods = [
      { name: 'one', loss },
      { name: 'two', loss },
    ];
    new ContinualLearner({ model, optimizer: new SGD(model.parameters(), { lr: 0.1 }), methods }).learn(batch);
    expect(seen).toBe(2);
  });
});

describe('begin and end', () => {
  it('come in turn', () => {
    const learner = echo();
    expect(() => learner.end()).toThrow('ContinualLearner.end: no context has begun. Call begin(context) first.');
    learner.begin(first);
    expect(() => learner.begin(second)).toThrow(
      'ContinualLearner.begin: context 0 has not ended. Call end() before context 1 begins.',
    );
    learner.end();
    expect(() => learner.end()).toThrow(/no context has begun/);
    learner.begin(second);
    learner.end();
  });

  it('have not happened where a method refuses', () => {
    const refusing: Method = {
      name: 'refusing',
      begin({ index }) {
        if (index === 0) throw new Error('refused');
      },
    };
    const learner = new ContinualLearner({ ...echo(), optimizer: { zeroGrad() {}, step() {} }, methods: [refusing] });
    expect(() => learner.begin(first)).toThrow('refused');
    learner.begin(second);
    learner.end();
  });
});

describe('learning', () => {
  it('without methods takes the steps of a plain loop, bit for bit', () => {
    const [plain, learned] = [network(), network()];
    const [one, other] = [new Adam(plain.parameters(), { lr: 0.01 }), new Adam(learned.parameters(), { lr: 0.01 })];
    const learner = new ContinualLearner({ model: learned, optimizer: other });
    for (const batch of [...batchesOf(20), ...batchesOf(20, [2, 4], 1)]) {
      const output = plain.forward(batch.x);
      const [from, to] = batch.head;
      const loss = crossEntropy(
        output.slice([null, [from, to]]),
        batch.labels.map((label) => label - from),
      );
      one.zeroGrad();
      loss.backward();
      one.step();
      expect(learner.learn(batch)).toBe(loss.item());
    }
    expect(numbers(learned)).toEqual(numbers(plain));
    expect(numbers(learned)).not.toEqual(numbers(network()));
  });

  it('with a method that adds to the loss descends on the sum, and returns the loss of the batch alone', () => {
    const [plain, learned] = [network(), network()];
    const penalty = (w: Tensor) => w.square().sum().mul(0.1);
    const method: Method = {
      name: 'decay',
      loss: (loss, { learning }) => loss.add(penalty(learning.parameters.get('0.weight')!)),
    };
    const [one, other] = [new SGD(plain.parameters(), { lr: 0.1 }), new SGD(learned.parameters(), { lr: 0.1 })];
    const learner = new ContinualLearner({ model: learned, optimizer: other, methods: [method] });
    for (const batch of batchesOf(5)) {
      const own = crossEntropy(plain.forward(batch.x), batch.labels);
      one.zeroGrad();
      own.add(penalty(plain.parameters()[0]!)).backward();
      one.step();
      expect(learner.learn(batch)).toBe(own.item());
    }
    expect(numbers(learned)).toEqual(numbers(plain));
  });

  it('with a method that takes the gradients away stands still', () => {
    const model = network();
    const before = numbers(model);
    const method: Method = {
      name: 'still',
      gradients: ({ learning }) => {
        for (const w of learning.parameters.values()) w.grad = null;
      },
    };
    const learner = new ContinualLearner({
      model,
      optimizer: new SGD(model.parameters(), { lr: 1 }),
      methods: [method],
    });
    learner.learn(batchesOf(1)[0]!);
    expect(numbers(model)).toEqual(before);
  });

  it('sends nothing to the columns of other heads', () => {
    const model = network();
    const learner = new ContinualLearner({ model, optimizer: new SGD(model.parameters(), { lr: 0.1 }) });
    const [, , before, bias] = numbers(model) as [number[], number[], number[], number[]];
    learner.learn(batchesOf(1, [2, 4])[0]!);
    const [, , after, biasAfter] = numbers(model) as [number[], number[], number[], number[]];
    expect(after.slice(0, 16)).toEqual(before.slice(0, 16));
    expect(biasAfter.slice(0, 2)).toEqual(bias.slice(0, 2));
    for (const i of [2, 3]) expect(biasAfter[i]).not.toBe(bias[i]);
  });

  it('says which label or head does not fit, and has then learned nothing', () => {
    const model = network();
    const before = numbers(model);
    const learner = new ContinualLearner({ model, optimizer: new SGD(model.parameters(), { lr: 0.1 }) });
    const [batch] = batchesOf(1) as [Batch];
    const learn = (change: Partial<Batch>) => () => learner.learn({ ...batch, ...change });
    expect(learn({ labels: Int32Array.of(2, 3, 1, 2, 2), head: [2, 4] })).toThrow(
      "ContinualLearner: label 1 at position 2 is outside the head [2, 4]. Labels are columns of the model's output.",
    );
    expect(learn({ labels: Int32Array.of(2, 3, 4, 2, 2), head: [2, 4] })).toThrow(/label 4 at position 2/);
    for (const head of [
      [0, 5],
      [-1, 2],
      [2, 2],
      [3, 2],
      [0, 1.5],
    ] as [number, number][])
      expect(learn({ head })).toThrow(`the head [${head.join(', ')}] is no range of the model's 4 outputs.`);
    expect(learn({ labels: Int32Array.of(0) })).toThrow(/crossEntropy: target \[1\] does not fit/);
    expect(numbers(model)).toEqual(before);
  });
});

describe('learnTogether', () => {
  const [one] = batchesOf(1, [0, 2]) as [Batch];
  const [other] = batchesOf(1, [2, 4], 1, 3) as [Batch];

  it('descends on the mean of the losses, each through its own head, whatever the sizes of the batches', () => {
    const [plain, learned] = [network(), network()];
    const [sgd, optimizer] = [new SGD(plain.parameters(), { lr: 0.5 }), new SGD(learned.parameters(), { lr: 0.5 })];
    const learner = new ContinualLearner({ model: learned, optimizer });
    for (let i = 0; i < 3; i++) {
      const [a, b] = [one, other].map(({ x, labels, head }) => headLoss(plain.forward(x), labels, head)) as [
        Tensor,
        Tensor,
      ];
      const loss = a.add(b).mul(0.5);
      sgd.zeroGrad();
      loss.backward();
      sgd.step();
      expect(learner.learnTogether([one, other])).toBe(loss.item());
    }
    expect(numbers(learned)).toEqual(numbers(plain));
  });

  it('is refused for no batches and with methods', () => {
    const model = network();
    const optimizer = new SGD(model.parameters(), { lr: 0.5 });
    const learner = new ContinualLearner({ model, optimizer });
    expect(() => learner.learnTogether([])).toThrow('there are no batches. Give one at least.');
    const watched = new ContinualLearner({ model, optimizer, methods: [{ name: 'ewc' }] });
    expect(() => watched.learnTogether([one])).toThrow('the method ewc sees one batch a step.');
  });
});

describe('predict', () => {
  const x = tensor([
    [9, 1, 2, 3],
    [0, 0, 5, 5],
    [7, 7, -1, -2],
    [0, 0, Number.NEGATIVE_INFINITY, -3],
  ]);

  it('gives the likeliest column of the head, counted from the first of all; of equals the first', () => {
    expect(echo().predict(x, [0, 4], null)).toEqual(Int32Array.of(0, 2, 0, 0));
    expect(echo().predict(x, [2, 4], null)).toEqual(Int32Array.of(3, 2, 2, 3));
    expect(echo().predict(x, [1, 2], null)).toEqual(Int32Array.of(1, 1, 1, 1));
    expect(echo().predict(x, [1, 3], null)).toEqual(Int32Array.of(2, 2, 1, 1));
  });

  it('of no rows is nothing', () => {
    expect(echo().predict(tensor(new Float32Array(0), [0, 4]), [1, 3], null)).toEqual(new Int32Array(0));
  });

  it('says that a head is out of range', () => {
    expect(() => echo().predict(x, [2, 5], 0)).toThrow(
      "ContinualLearner: the head [2, 5] is no range of the model's 4 outputs. Give the model an output for each column of every head.",
    );
  });

  it('records nothing', () => {
    const model = network();
    const recorded: boolean[] = [];
    const plain = model.forward.bind(model);
    model.forward = (x) => {
      const output = plain(x);
      recorded.push(output.requiresGrad);
      return output;
    };
    const learner = new ContinualLearner({ model, optimizer: new SGD(model.parameters(), { lr: 0.1 }) });
    const [batch] = batchesOf(1) as [Batch];
    learner.learn(batch);
    learner.predict(batch.x, batch.head, 0);
    expect(recorded).toEqual([true, false]);
  });

  it('asks layers in the mode of use, and leaves each in the mode in which it was, errors or not', () => {
    const [drop, frozen] = [new Dropout(0.5), new Dropout(0.5)];
    const model = new Sequential(drop, frozen);
    frozen.eval();
    const learner = new ContinualLearner({ model, optimizer: { zeroGrad() {}, step() {} } });
    for (let i = 0; i < 5; i++) expect(learner.predict(x, [0, 4], null)).toEqual(Int32Array.of(0, 2, 0, 0));
    expect(() => learner.predict(x, [2, 5], 0)).toThrow(/no range/);
    expect([model.training, drop.training, frozen.training]).toEqual([true, true, false]);
  });
});

describe('evaluate', () => {
  it('is the share of right answers, whatever the batch size', () => {
    const { contexts } = scenario('class');
    // Labels of context 1 are 2, 3, 2, 3, 3, and the first number of an input is its label.
    const learner = {
      predict: (x: Tensor) =>
        Int32Array.from(x.toArray() as number[][], ([label, , last]) => (last! > 1 && label === 3 ? 3 : 0)),
    };
    for (const batchSize of [1, 2, 5, 1000]) expect(evaluate(learner, contexts[1]!, { batchSize })).toBe(0.6);
    expect(evaluate(learner, contexts[1]!)).toBe(0.6);
    expect(evaluate(learner, contexts[0]!)).toBe(0.5);
  });

  it('tells the context only where the scenario is task, and asks within its head or the one it is given', () => {
    const asked: unknown[] = [];
    const learner = {
      predict(x: Tensor, head: readonly [number, number], context: number | null) {
        asked.push([head, context]);
        return new Int32Array(x.shape[0]!);
      },
    };
    for (const kind of ['task', 'domain', 'class'] as const) evaluate(learner, scenario(kind).contexts[1]!);
    evaluate(learner, scenario('class', { activeClasses: 'seen' }).contexts[0]!, { head: [0, 4] });
    expect(asked).toEqual([
      [[2, 4], 1],
      [[0, 2], null],
      [[0, 4], null],
      [[0, 4], null],
    ]);
  });

  it('says that there is nothing to ask about', () => {
    const none: Context = { ...first, test: { ...first.test, labels: new Int32Array(0) } };
    expect(() => evaluate(echo(), none)).toThrow('evaluate: context 0 has no test examples.');
    expect(() => evaluate(echo(), first, { batchSize: 0 })).toThrow(/batchSize must be an integer from 1/);
  });

  it('rises to 1 on what is learned', () => {
    const { contexts } = scenario('task');
    const model = network();
    const learner = new ContinualLearner({ model, optimizer: new Adam(model.parameters(), { lr: 0.05 }) });
    const options = { batchSize: 4, iterations: 200, generator: new Generator(1) };
    for (const context of contexts) {
      learner.begin(context);
      for (const batch of contextBatches(context, options)) learner.learn(batch);
      learner.end();
      expect(evaluate(learner, context)).toBe(1);
    }
  });
});

describe('SeparateNetworks', () => {
  it('learns each context in a network of its own, and forgets nothing', () => {
    const made: number[] = [];
    const models = [network(1), network(2)];
    const networks = new SeparateNetworks((context) => {
      made.push(context);
      const model = models[context]!;
      return new ContinualLearner({ model, optimizer: new SGD(model.parameters(), { lr: 0.5 }) });
    });
    const [one, other] = [batchesOf(4, [0, 2]), batchesOf(4, [2, 4], 1)];
    for (const batch of one) networks.learn(batch);
    const after = numbers(models[0]!);
    const answers = networks.predict(one[0]!.x, [0, 2], 0);
    for (const batch of other) networks.learn(batch);
    expect(made).toEqual([0, 1]);
    expect(numbers(models[0]!)).toEqual(after);
    expect(numbers(models[1]!)).not.toEqual(numbers(network(2)));
    expect(networks.predict(one[0]!.x, [0, 2], 0)).toEqual(answers);
    const own = new ContinualLearner({ model: models[1]!, optimizer: { zeroGrad() {}, step() {} } });
    expect(networks.predict(one[0]!.x, [2, 4], 1)).toEqual(own.predict(one[0]!.x, [2, 4], 1));
    expect(() => networks.predict(one[0]!.x, [0, 2], null)).toThrow(/the context must be known/);
    expect(() => networks.predict(one[0]!.x, [0, 2], 2)).toThrow('context 2 has not been learned');
  });
});

describe('memory', () => {
  const gc = globalThis.gc as () => void;

  it('stays as it is over a thousand steps and evaluations, with methods that hold losses and outputs', () => {
    const { contexts } = scenario('class');
    const model = new Sequential(new Linear(3, 64), new ReLU(), new Linear(64, 4));
    let last: unknown = null;
    const method: Method = {
      name: 'holder',
      loss: (loss, { learning }) => loss.add(learning.parameters.get('0.weight')!.square().sum().mul(1e-4)),
      stepped: (step) => {
        last = step;
      },
    };
    const learner = new ContinualLearner({ model, optimizer: new Adam(model.parameters()), methods: [method] });
    const run = (steps: number) => {
      for (const batch of contextBatches(contexts[0]!, { batchSize: 4, iterations: steps })) {
        learner.learn(batch);
        evaluate(learner, contexts[1]!);
      }
    };
    const heap = () => {
      gc();
      gc();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    run(300);
    const [kernelBefore, heapBefore] = [memoryInUse(), heap()];
    run(1000);
    expect(last).not.toBeNull();
    expect(memoryInUse() - kernelBefore).toBeLessThanOrEqual(2 ** 20);
    expect(heap() - heapBefore).toBeLessThan(3e6);
  });

  it('stays as it is over evaluations alone, also of one who answers carelessly', () => {
    const { contexts } = scenario('class');
    const model = new Sequential(new Linear(3, 2048), new ReLU(), new Linear(2048, 4));
    const careless = { predict: (x: Tensor) => Int32Array.from(model.forward(x).argmax(1).toArray() as number[]) };
    const learner = new ContinualLearner({ model, optimizer: { zeroGrad() {}, step() {} } });
    for (const who of [careless, learner]) {
      evaluate(who, contexts[1]!);
      const before = memoryInUse();
      for (let i = 0; i < 200; i++) evaluate(who, contexts[1]!);
      expect(memoryInUse() - before).toBeLessThanOrEqual(2 ** 20);
    }
  });
});
