/** Continual backprop, ReDo, shrink and perturb, and confidence as methods of a learner: they do what their classes do. */
import { describe, expect, it } from 'vitest';
import { noGrad, scope } from '../../src/autograd/modes.ts';
import '../../src/ops/methods.ts';
import { type ConfidenceOptions, confidence } from '../../src/continual/confidence.ts';
import { ContinualBackprop, type ContinualBackpropOptions } from '../../src/continual/continual-backprop.ts';
import { shrinkAndPerturb } from '../../src/continual/everyday.ts';
import { ContinualLearner, headLoss } from '../../src/continual/learner.ts';
import type { Method } from '../../src/continual/method.ts';
import {
  type ContinualBackpropMethodOptions,
  continualBackprop,
  redo,
  shrinkPerturb,
} from '../../src/continual/plasticity-methods.ts';
import { ReDo } from '../../src/continual/redo.ts';
import type { Batch } from '../../src/data/scenarios.ts';
import { ReLU } from '../../src/nn/activation.ts';
import { Flatten, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Linear } from '../../src/nn/linear.ts';
import { Adam } from '../../src/optim/adam.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { SelectiveBackpropagation } from '../../src/rules/selective.ts';
import { anchor } from '../../src/state/anchor.ts';
import { plasticity } from '../../src/state/gate.ts';
import { reset } from '../../src/state/reset.ts';
import { guided, kept, sideState } from '../../src/state/side-state.ts';
import { tensor } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { learnContext, learnSteps, toyContexts } from './toy-contexts.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const set = (x: Tensor, numbers: readonly number[]): Tensor => noGrad(() => x.copy_(tensor(numbers, x.shape)));
const all = (model: Sequential): number[][] => model.parameters().map(read);
const [context, other] = toyContexts({ contexts: 2, kind: 'domain' }) as [
  ReturnType<typeof toyContexts>[0],
  ReturnType<typeof toyContexts>[0],
];

function setup(methods: readonly Method[], lr = 0.01) {
  const generator = new Generator(3);
  const [first, last] = [new Linear(6, 8, { generator }), new Linear(8, 2, { generator })];
  const model = new Sequential(first, new ReLU(), last);
  const optimizer = new Adam(model.parameters(), { lr });
  return { first, last, model, optimizer, learner: new ContinualLearner({ model, optimizer, methods }) };
}

/** The same steps as learnSteps takes, by hand; `after` stands for the optimizer's step. */
function byHand(own: ReturnType<typeof setup>, steps: number, after: (output: Tensor, batch: Batch) => void): void {
  for (let step = 0; step < steps; step++) {
    const rows = Array.from({ length: 16 }, (_, i) => (step * 16 + i) % 96);
    const labels = Int32Array.from(rows, (row) => context.train.labels[row]!);
    const x = context.train.inputs(rows);
    const output = own.model.forward(x);
    own.optimizer.zeroGrad();
    headLoss(output, labels, context.head).backward();
    after(output, { x, labels, head: context.head, context: 0 });
  }
}

describe('continual backprop as a method', () => {
  const options = (): ContinualBackpropOptions => ({ rate: 0.02, maturity: 3, generator: new Generator(5) });

  it('replaces what the class replaces, and leaves the same network', () => {
    const method = continualBackprop(options());
    const [own, reference] = [setup([method]), setup([])];
    expect(method.resets).toBeNull();
    learnSteps(own.learner, context, 60);
    const continual = new ContinualBackprop(reference.model.forward(randn([1, 6])), options());
    let replaced = 0;
    byHand(reference, 60, (output) => {
      reference.optimizer.step();
      replaced += continual.step(output).length;
    });
    expect(replaced).toBeGreaterThan(4);
    expect(method.replaced).toBe(replaced);
    expect(all(own.model)).toEqual(all(reference.model));
    expect(method.resets?.statistics(0)).toEqual(continual.statistics(0));
  });

  it('goes on from its state as if it had not stopped', () => {
    const run = (stop: number | null) => {
      const [generator, draws] = [new Generator(5), { rate: 0.02, maturity: 3 }];
      let method = continualBackprop({ ...draws, generator });
      const own = setup([method], 0);
      if (stop !== null) {
        learnSteps(own.learner, context, stop);
        const state = method.stateDict();
        method = continualBackprop({ ...draws, generator });
        method.loadStateDict(state);
        expect(method.stateDict()).toEqual(state);
        const { model, optimizer } = own;
        const rest = new ContinualLearner({ model, optimizer, methods: [method] });
        byHand({ ...own, learner: rest }, 0, () => {});
        for (let step = stop; step < 40; step++) learnOne(rest, step);
      } else learnSteps(own.learner, context, 40);
      return { replaced: method.replaced, weights: all(own.model) };
    };
    expect(run(13)).toEqual(run(null));
  });

  function learnOne(learner: ContinualLearner, step: number): void {
    const rows = Array.from({ length: 16 }, (_, i) => (step * 16 + i) % 96);
    const labels = Int32Array.from(rows, (row) => context.train.labels[row]!);
    learner.learn({ x: context.train.inputs(rows), labels, head: context.head, context: 0 });
  }

  it('steps beside a method that takes a backward pass of its own', () => {
    const reading: Method = {
      name: 'reading',
      gradients: ({ learning, batch }) =>
        scope(() => {
          const kept = [...learning.parameters.values()].map((w) => w.grad!.detach());
          learning.output(batch.x).square().sum().backward();
          [...learning.parameters.values()].forEach((w, i) => {
            w.grad = kept[i]!;
          });
        }),
    };
    const method = continualBackprop(options());
    const [own, plain] = [setup([reading, method]), setup([continualBackprop(options())])];
    learnSteps(own.learner, context, 30);
    learnSteps(plain.learner, context, 30);
    expect(method.replaced).toBeGreaterThan(1);
    expect(all(own.model)).toEqual(all(plain.model));
  });

  it('says at once what is out of range, and at the first step that there are no units', () => {
    const make = (wrong: object) => () => continualBackprop(wrong as ContinualBackpropMethodOptions);
    expect(make({ rate: 2 })).toThrow(/ContinualBackprop: rate is a fraction of units/);
    expect(make({ protect: -1 })).toThrow(/protect is a finite number from 0 up, not -1/);
    expect(make({ protect: Number.NaN })).toThrow(/protect.*NaN/);
    expect(make({ importance: 3 })).toThrow(/importance is a function of a parameter, not number/);
    const model = new Sequential(new Linear(6, 2));
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    const learner = new ContinualLearner({ model, optimizer, methods: [continualBackprop()] });
    expect(() => learnSteps(learner, context, 1)).toThrow(/no hidden units/);
  });
});

describe('units whose weights are held', () => {
  const x = tensor([[1, 0.5]]);

  /** Three units with uses 1, 2, 6 after one step. Who goes, when one is due? */
  function victim(options: ContinualBackpropMethodOptions, hold: (first: Linear, last: Linear) => void): number {
    const [first, last] = [new Linear(2, 3), new Linear(3, 1)];
    set(first.weight, [1, 0, 0, 4, 2, 2]);
    set(first.bias!, [0, 0, 0]);
    set(last.weight, [1, 1, 2]);
    hold(first, last);
    const model = new Sequential(first, new ReLU(), last);
    const own = { maturity: 0, rate: 1 / 3, generator: new Generator(1), ...options };
    const method = continualBackprop(own);
    const learner = new ContinualLearner({
      model,
      optimizer: new SGD(model.parameters(), { lr: 0 }),
      methods: [method],
    });
    learner.learn({ x, labels: Int32Array.of(0), head: [0, 1], context: 0 });
    expect(method.replaced).toBe(1);
    return read(last.weight).indexOf(0);
  }

  it('go after others that are as useful: utility + kappa mean(utility) mass / mean(mass)', () => {
    // Masses: incoming row, bias, outgoing column. Unit 0: 1 + 2 + 0.5 + 4, unit 1: 0.5, unit 2: 1 + 3.
    const hold = ({ weight, bias }: Linear, last: Linear) => {
      anchor(weight, { precision: tensor([1, 2, 0, 0, 0, 0], [3, 2]) });
      anchor(weight, { precision: tensor([0, 0, 0, 0, 0, 1], [3, 2]) });
      anchor(bias!, { precision: tensor([0.5, 0.5, 0]), step: 'explicit' });
      anchor(last.weight, { precision: tensor([4, 0, 3], [1, 3]) });
    };
    // 1 + kappa 3 (7.5 / 4) = 2 + kappa 3 (0.5 / 4) where kappa = 1 / 5.25.
    const swap = 1 / 5.25;
    expect(victim({}, hold)).toBe(0);
    expect(victim({ protect: swap * 0.999 }, hold)).toBe(0);
    expect(victim({ protect: swap * 1.001 }, hold)).toBe(1);
    expect(victim({ protect: 100 }, hold)).toBe(1);
  });

  it('are found by any importance, of a shape that broadcasts; null is none', () => {
    const nothing = () => {};
    const rows = (w: Tensor) => (w.shape[0] === 3 && w.ndim === 2 ? tensor([[4], [0], [1]]) : null);
    expect(victim({ protect: 100, importance: rows }, nothing)).toBe(1);
    expect(victim({ protect: 100, importance: () => null }, nothing)).toBe(0);
    expect(victim({ protect: 100, importance: () => tensor(1) }, nothing)).toBe(0);
    expect(() => victim({ protect: 1, importance: () => tensor([1, 2, 3, 4]) }, nothing)).toThrow(
      /importance: cannot broadcast|importance.*\[4\]/,
    );
  });

  it('go last where all are alike in use, or by lot', () => {
    const hold = ({ weight }: Linear) => void anchor(weight, { precision: tensor([1, 1, 0, 0, 1, 1], [3, 2]) });
    for (const utility of ['zero', 'random'] as const) expect(victim({ utility, protect: 10 }, hold)).toBe(1);
  });

  it('of convolutions have the columns behind flattening', () => {
    const generator = new Generator(2);
    const [conv, last] = [new Conv2d(1, 2, 2, { generator }), new Linear(8, 1, { generator })];
    const model = new Sequential(conv, new ReLU(), new Flatten(), last);
    const optimizer = new SGD(model.parameters(), { lr: 0 });
    for (const held of [0, 1]) {
      const importance = (w: Tensor) =>
        w === last.weight
          ? tensor(
              Array.from({ length: 8 }, (_, i) => (i >> 2 === held && i % 4 === 3 ? 1 : 0)),
              [1, 8],
            )
          : null;
      const method = continualBackprop({ maturity: 0, rate: 0.5, protect: 1e6, importance, generator });
      set(last.weight, [1, 1, 1, 1, 1, 1, 1, 1]);
      const learner = new ContinualLearner({ model, optimizer, methods: [method] });
      learner.learn({
        x: randn([2, 1, 3, 3], { generator }).square(),
        labels: Int32Array.of(0, 0),
        head: [0, 1],
        context: 0,
      });
      expect(read(last.weight).map((w) => w === 0)).toEqual(Array.from({ length: 8 }, (_, i) => i >> 2 === 1 - held));
    }
  });

  it('have the columns of a kernel in a convolution that reads them', () => {
    const generator = new Generator(2);
    const [conv, reader] = [new Conv2d(1, 2, 1, { generator }), new Conv2d(2, 3, 2, { generator })];
    const model = new Sequential(conv, new ReLU(), reader, new ReLU(), new Flatten(), new Linear(3, 1, { generator }));
    const optimizer = new SGD(model.parameters(), { lr: 0 });
    set(conv.weight, [1, 1]);
    for (const held of [0, 1]) {
      const place = 2 * 8 + held * 4 + 3;
      const importance = (w: Tensor) =>
        w === reader.weight
          ? tensor(
              Array.from({ length: 24 }, (_, i) => (i === place ? 1 : 0)),
              w.shape,
            )
          : null;
      const method = continualBackprop({ maturity: 0, rate: 0.5, protect: 1e6, importance, generator });
      set(reader.weight, Array(24).fill(1));
      const learner = new ContinualLearner({ model, optimizer, methods: [method] });
      const x = randn([2, 1, 2, 2], { generator }).square();
      learner.learn({ x, labels: Int32Array.of(0, 0), head: [0, 1], context: 0 });
      expect(
        read(reader.weight)
          .slice(16, 24)
          .map((w) => w === 0),
      ).toEqual(Array.from({ length: 8 }, (_, i) => i >> 2 === 1 - held));
    }
  });
});

describe('a bonus for units', () => {
  const make = (bonus: ContinualBackpropOptions['bonus'] | number) => {
    const own = setup([], 0);
    const output = () => own.model.forward(context.train.inputs([0, 1, 2]));
    const options = { rate: 0.125, maturity: 0, generator: new Generator(1), bonus } as ContinualBackpropOptions;
    return { continual: new ContinualBackprop(output(), options), output };
  };

  it('is asked for with the corrected utilities, and raises the rank alone', () => {
    const plain = make(null);
    const least = plain.continual.step(plain.output())[0]?.unit;
    let seen: number[] = [];
    const raised = make((layer, utility) => {
      expect(layer.units).toBe(8);
      seen = [...utility];
      return utility.map((_, unit) => (unit === least ? 1e6 : 0));
    });
    const next = raised.continual.step(raised.output())[0]?.unit;
    const sorted = seen.map((use, unit) => ({ use, unit })).sort((a, b) => a.use - b.use);
    expect([least, next]).toEqual([sorted[0]!.unit, sorted[1]!.unit]);
    const { corrected } = raised.continual.statistics(0);
    seen.forEach((use, unit) => {
      expect(corrected[unit]).toBe(unit === next ? 0 : use);
    });
  });

  it('is a number for each unit, or a sentence', () => {
    const step = (bonus: ContinualBackpropOptions['bonus']) => () => {
      const { continual, output } = make(bonus);
      continual.step(output());
    };
    expect(step(() => [1])).toThrow(/a number for each of the layer's 8 units, but it gave 1/);
    expect(step(() => Array(8).fill(Number.NaN))).toThrow(/but it gave NaN/);
    expect(() => make(3)).toThrow(/bonus is a function of a layer and its utilities, or null, not number/);
  });
});

describe('ReDo, and shrink and perturb, as methods', () => {
  it('ReDo replaces what the class replaces', () => {
    const options = () => ({ threshold: 0.9, every: 7, generator: new Generator(2) });
    const method = redo(options());
    const [own, reference] = [setup([method]), setup([])];
    learnSteps(own.learner, context, 20);
    const sleeping = new ReDo(reference.model.forward(randn([1, 6])), options());
    let replaced = 0;
    byHand(reference, 20, (output) => {
      reference.optimizer.step();
      replaced += sleeping.step(output).length;
    });
    expect(replaced).toBeGreaterThan(0);
    expect(method.replaced).toBe(replaced);
    expect(all(own.model)).toEqual(all(reference.model));
    expect(method.stateDict().resets).toEqual({ steps: 20 });
    expect(() => redo({ every: 0 })).toThrow(/ReDo: every/);
  });

  it('shrink and perturb comes where a context begins, but the first', () => {
    const options = () => ({ shrink: 0.5, noise: 0.1, generator: new Generator(2) });
    const [own, reference] = [setup([shrinkPerturb(options())]), setup([])];
    learnContext(own.learner, context, 2);
    learnContext(reference.learner, context, 2);
    expect(all(own.model)).toEqual(all(reference.model));
    own.learner.begin(other);
    shrinkAndPerturb(reference.model.parameters(), options());
    expect(all(own.model)).toEqual(all(reference.model));
    expect(() => shrinkPerturb({ shrink: 2 })).toThrow(/shrink is a factor from 0 to 1, not 2/);
  });
});

describe('confidence as a method', () => {
  const options: ConfidenceOptions = { every: 3, gamma: 0.4, quantile: 0.2, decay: 0.9 };

  it('steps as the class does around the same optimizer', () => {
    const guard = confidence(options);
    const [own, reference] = [setup([guard]), setup([])];
    learnSteps(own.learner, context, 20);
    const selective = new SelectiveBackpropagation(reference.model.parameters(), {
      ...options,
      optimizer: reference.optimizer,
    });
    byHand(reference, 20, (output, { labels }) => {
      const answers = output.argmax(1).toArray() as number[];
      selective.step({ correct: answers.filter((answer, i) => answer === labels[i]).length, total: 16 });
    });
    expect(all(own.model)).toEqual(all(reference.model));
    const [w, same] = [own.first.weight, reference.first.weight];
    expect(read(guard.of(w)!)).toEqual(read(selective.confidence(same)));
    expect(read(guard.of(w)!).some((c) => c > 0.5)).toBe(true);
    selective.remove();
    guard.remove();
  });

  it('counts answers in the head alone, of equals the first', () => {
    const right = (numbers: number[][], labels: number[], head: [number, number]) => {
      // gamma 1: the gates of an unimportant weight are 1 - the share of right answers.
      const guard = confidence({ every: 1, gamma: 1 });
      const model = new Sequential(new Linear(3, 3, { bias: false }));
      const [w] = model.parameters() as [Tensor];
      set(w, [1, 0, 0, 0, 1, 0, 0, 0, 1]);
      const optimizer = new SGD([w], { lr: 0 });
      const learner = new ContinualLearner({ model, optimizer, methods: [guard] });
      learner.learn({ x: tensor(numbers), labels: Int32Array.from(labels), head, context: 0 });
      const [gate, c] = [read(kept(w, 'selective.gate')!), read(guard.of(w)!)];
      return Math.max(...gate.map((g, i) => 1 - g / (1 - c[i]!)));
    };
    const outputs = [
      [9, 1, 2],
      [9, 2, 2],
      [9, 3, 1],
      [9, 0, 5],
    ];
    expect(right(outputs, [2, 1, 2, 2], [1, 3])).toBeCloseTo(3 / 4, 5);
    expect(right(outputs, [0, 0, 0, 1], [0, 3])).toBeCloseTo(3 / 4, 5);
  });

  it('keeps what a context has made sure of when it ends', () => {
    const guard = confidence({ ...options, online: false, quantile: 0 });
    const own = setup([guard]);
    own.learner.begin(context);
    learnSteps(own.learner, context, 10);
    expect(Math.max(...read(guard.of(own.first.weight)!))).toBe(0);
    own.learner.end();
    const confident = read(guard.of(own.first.weight)!);
    expect(Math.max(...confident)).toBeGreaterThan(0.9);
    own.learner.begin(other);
    learnSteps(own.learner, other, 10);
    expect(read(guard.of(own.first.weight)!)).toEqual(confident);
  });

  it('guards the parameters that it is given, before there are any contexts too', () => {
    const own = setup([]);
    const guard = confidence({ ...options, parameters: [own.last.weight] });
    const { model, optimizer } = own;
    learnSteps(new ContinualLearner({ model, optimizer, methods: [guard] }), context, 4);
    expect(guard.of(own.first.weight)).toBeNull();
    expect(guard.of(own.last.weight)?.shape).toEqual([2, 8]);
    expect(confidence().of(own.last.weight)).toBeNull();
  });

  it('leads errors away from confident weights where that is asked for, until it is removed', () => {
    const before = guided.count;
    const guard = confidence({ ...options, edges: true, quantile: 0, gamma: 0 });
    const own = setup([guard]);
    learnContext(own.learner, context, 10);
    const x = context.train.inputs([0, 1, 2]).requiresGrad_();
    const gradient = () => {
      x.grad = null;
      own.model.forward(x).sum().backward();
      return read(x.grad!);
    };
    const gated = gradient();
    guard.remove();
    const plain = gradient();
    expect(gated).not.toEqual(plain);
    expect(Math.hypot(...gated)).toBeLessThan(0.5 * Math.hypot(...plain));
    expect(guided.count).toBe(before);
    expect(sideState(own.first.weight)).toEqual({});
  });

  it('does not freeze a newborn unit, nor any whose gate is a tensor', () => {
    const guard = confidence({ ...options, quantile: 0, gamma: 0, every: 1 });
    const own = setup([guard]);
    learnContext(own.learner, context, 10);
    const w = own.first.weight;
    const others = plasticity(w, tensor(Array(48).fill(0), [8, 6]));
    const gate = () => read(kept(w, 'selective.gate')!).slice(12, 18);
    expect(Math.max(...gate())).toBeLessThan(0.1);
    reset(w, { rows: [2] }, 0.1);
    expect(gate()).toEqual([1, 1, 1, 1, 1, 1]);
    const before = read(w);
    own.learner.begin(other);
    learnSteps(own.learner, other, 1);
    read(w).forEach((one, i) => {
      expect(one !== before[i]).toBe(i >= 12 && i < 18);
    });
    others();
  });

  it('says at once what is out of range', () => {
    expect(() => confidence({ floor: 2 })).toThrow(/floor must be a number from 0 to 1, but it is 2/);
    expect(() => confidence({ every: 0 })).toThrow(/every must be an integer/);
  });
});
