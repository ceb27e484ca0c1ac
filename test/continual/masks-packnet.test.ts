/** PackNet: who owns which weight, what moves, and what questions about the past see. */
import { describe, expect, it } from 'vitest';
import { noGrad } from '../../src/autograd/modes.ts';
import '../../src/ops/methods.ts';
import { ContinualLearner } from '../../src/continual/learner.ts';
import { type PackNetOptions, packnet } from '../../src/continual/masks/packnet.ts';
import { replaceUnits } from '../../src/continual/newborn.ts';
import type { Context } from '../../src/data/scenarios.ts';
import { ReLU, Tanh } from '../../src/nn/activation.ts';
import { Flatten, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Dropout } from '../../src/nn/dropout.ts';
import { Linear } from '../../src/nn/linear.ts';
import { LayerNorm } from '../../src/nn/normalization.ts';
import { mul } from '../../src/ops/binary.ts';
import { Adam } from '../../src/optim/adam.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { findUnits } from '../../src/state/units.ts';
import { tensor } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { accuracy, learnContext, learnSteps, toyContexts } from './toy-contexts.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const set = (x: Tensor, numbers: readonly number[]): Tensor => noGrad(() => x.copy_(tensor(numbers, x.shape)));
const bits = (model: Sequential): number[][] => model.parameters().map(read);

function network(contexts: number, width = 12) {
  const generator = new Generator(3);
  const [first, second] = [new Linear(6, width, { generator }), new Linear(width, width, { generator })];
  const last = new Linear(width, 2 * contexts, { generator });
  return { first, second, last, model: new Sequential(first, new ReLU(), second, new ReLU(), last) };
}

function packing(contexts: number, options: PackNetOptions = { prune: 0.5, steps: 12 }, lr = 0.01) {
  const parts = network(contexts);
  const method = packnet(options);
  const optimizer = new Adam(parts.model.parameters(), { lr, weightDecay: 0.01 });
  const learner = new ContinualLearner({ model: parts.model, optimizer, methods: [method] });
  return { ...parts, method, learner, all: toyContexts({ contexts }) };
}

/** What is answered in the columns of a context's head. */
function answers({ learner, method }: ReturnType<typeof packing>, { index, test, head }: Context): number[] {
  method.prepare?.(index, null);
  const output = noGrad(() => learner.learning.output(test.inputs([0, 1, 2, 3])).slice([null, [...head]]));
  method.answered?.();
  return read(output);
}

describe('the weights of a context', () => {
  it('are the largest of each layer that were free, of equals the first; the others become 0', () => {
    const own = packing(2, { prune: 0.5, retrain: 0 }, 0);
    const wide = Array.from({ length: 72 }, (_, i) => (i % 2 === 0 ? 1 : -1) * (i < 40 ? 1 : 2));
    set(own.first.weight, wide);
    learnContext(own.learner, own.all[0]!, 1);
    // 36 of 72 stay: the 32 of size 2, and the first 4 of size 1.
    const kept = wide.map((w, i) => (i >= 40 || i < 4 ? w : 0));
    expect(read(own.first.weight)).toEqual(kept);
    expect([...(own.method.ownersOf(own.first.weight) ?? [])]).toEqual(kept.map((w) => (w === 0 ? -1 : 0)));
    expect(own.method.ownersOf(own.last.weight)).toBeNull();
    expect(own.method.ownersOf(own.first.bias!)).toBeNull();
  });

  it('are that share of what is left, context after context', () => {
    const own = packing(3, { prune: 0.75, retrain: 0 });
    for (const context of own.all) learnContext(own.learner, context, 2);
    const owners = [...(own.method.ownersOf(own.second.weight) ?? [])];
    const count = (owner: number) => owners.filter((one) => one === owner).length;
    // 144, of which 36; 108, of which 27; 81, of which 20 (61 given up).
    expect([0, 1, 2, -1].map(count)).toEqual([36, 27, 20, 61]);
    owners.forEach((owner, i) => {
      expect(read(own.second.weight)[i] === 0).toBe(owner === -1);
    });
  });

  it('are chosen before the step at which the share for training again is left, and then learn alone', () => {
    const own = packing(1, { prune: 0.5, retrain: 1 / 3, steps: 6 });
    own.learner.begin(own.all[0]!);
    learnSteps(own.learner, own.all[0]!, 4);
    expect(read(own.first.weight)).not.toContain(0);
    learnSteps(own.learner, own.all[0]!, 1);
    const pruned = read(own.first.weight);
    const owners = [...(own.method.ownersOf(own.first.weight) ?? [])];
    expect(owners.filter((owner) => owner === 0)).toHaveLength(36);
    learnSteps(own.learner, own.all[0]!, 1);
    owners.forEach((owner, i) => {
      expect(pruned[i] === 0).toBe(owner === -1);
      expect(read(own.first.weight)[i] === pruned[i]).toBe(owner === -1);
    });
  });

  it('do not move in later contexts, whatever the optimizer keeps; free ones do', () => {
    for (const make of [
      (w: Tensor[]) => new Adam(w, { lr: 0.01, weightDecay: 0.1 }),
      (w: Tensor[]) => new SGD(w, { lr: 0.1, momentum: 0.9, weightDecay: 0.1 }),
    ]) {
      const { model, first } = network(2);
      const method = packnet({ prune: 0.5, steps: 9 });
      const learner = new ContinualLearner({ model, optimizer: make(model.parameters()), methods: [method] });
      const [one, two] = toyContexts({ contexts: 2 }) as [Context, Context];
      learnContext(learner, one, 9);
      const before = read(first.weight);
      const owners = method.ownersOf(first.weight)!;
      learner.begin(two);
      learnSteps(learner, two, 5);
      read(first.weight).forEach((w, i) => {
        expect(w === before[i]).toBe(owners[i] === 0);
      });
    }
  });

  it('come with biases of the first context, and with rows of the output layer that are each context its own', () => {
    const own = packing(2);
    const biases = () => [own.first, own.second].flatMap(({ bias }) => read(bias!));
    const start = biases();
    learnContext(own.learner, own.all[0]!, 12);
    const after = biases();
    after.forEach((b, i) => {
      expect(b).not.toBe(start[i]);
    });
    const [rows, rowBias] = [read(own.last.weight), read(own.last.bias!)];
    learnContext(own.learner, own.all[1]!, 12);
    expect(biases()).toEqual(after);
    expect(read(own.last.weight).slice(0, 24)).toEqual(rows.slice(0, 24));
    expect(read(own.last.bias!).slice(0, 2)).toEqual(rowBias.slice(0, 2));
    expect(read(own.last.bias!)[2]).not.toBe(rowBias[2]);
    expect(read(own.last.weight)[24]).not.toBe(rows[24]);
  });
});

describe('a question about a context of the past', () => {
  it('is answered to the bit as when that context ended, however many came since', () => {
    const own = packing(3);
    const first: number[][] = [];
    for (const context of own.all) {
      learnContext(own.learner, context, 12);
      first.push(answers(own, context));
    }
    expect(own.all.map((context) => answers(own, context))).toEqual(first);
  });

  it('sees the weights that this context and those before own, and no others', () => {
    const own = packing(3);
    for (const context of own.all) learnContext(own.learner, context, 12);
    const state = own.model.stateDict();
    for (const [name, layer] of [['0', own.first] as const, ['2', own.second] as const]) {
      const owners = own.method.ownersOf(layer.weight)!;
      expect(new Set(owners)).toEqual(new Set([-1, 0, 1, 2]));
      const numbers = read(layer.weight).map((w, i) => (owners[i] === 0 || owners[i] === 1 ? w : 0));
      state[`${name}.weight`] = tensor(numbers, layer.weight.shape);
    }
    const { test, head } = own.all[1]!;
    const expected = own.model.forwardWith(state, test.inputs([0, 1, 2, 3])).slice([null, [...head]]);
    expect(answers(own, own.all[1]!)).toEqual(read(expected));
  });

  it('leaves every weight as it was, to the bit, also when it fails', () => {
    const own = packing(2);
    learnContext(own.learner, own.all[0]!, 12);
    own.learner.begin(own.all[1]!);
    learnSteps(own.learner, own.all[1]!, 3);
    const before = bits(own.model);
    const { test, head } = own.all[0]!;
    own.learner.predict(test.inputs([0, 1]), head, 0);
    expect(bits(own.model)).toEqual(before);
    expect(() => own.learner.predict(randn([2, 5]), head, 0)).toThrow();
    expect(bits(own.model)).toEqual(before);
    // Who only prepares gets the weights back with the next call, whatever it is.
    own.method.prepare?.(0, null);
    expect(bits(own.model)).not.toEqual(before);
    own.method.prepare?.(0, null);
    own.method.answered?.();
    expect(bits(own.model)).toEqual(before);
    own.method.prepare?.(0, null);
    own.method.prepare?.(1, 3);
    expect(bits(own.model)).toEqual(before);
  });

  it('disturbs no graph that was recorded before it', () => {
    const own = packing(2);
    learnContext(own.learner, own.all[0]!, 12);
    own.learner.begin(own.all[1]!);
    const x = own.all[1]!.train.inputs([0, 1]);
    const gradient = (ask: boolean) => {
      own.model.zeroGrad();
      const loss = own.model.forward(x).square().sum();
      if (ask) own.learner.predict(x, own.all[0]!.head, 0);
      loss.backward();
      return read(own.first.weight.grad!);
    };
    expect(gradient(true)).toEqual(gradient(false));
  });

  it('is answered with all weights while it is learned, and where it has not come yet', () => {
    const own = packing(2);
    const [x, plain] = [own.all[1]!.test.inputs([0, 1, 2, 3]), () => read(noGrad(() => own.model.forward(x)))];
    const masked = (context: number) => {
      own.method.prepare?.(context, null);
      const output = plain();
      own.method.answered?.();
      return output;
    };
    expect(masked(0)).toEqual(plain());
    learnContext(own.learner, own.all[0]!, 12);
    expect(masked(1)).toEqual(plain());
    own.learner.begin(own.all[1]!);
    learnSteps(own.learner, own.all[1]!, 3);
    expect(masked(1)).toEqual(plain());
    expect(masked(0)).not.toEqual(plain());
  });
});

it('forgets nothing where plain training forgets', () => {
  const all = toyContexts({ contexts: 3 });
  const [kept, plain] = [[packnet({ prune: 0.6, steps: 120 })], []].map((methods) => {
    const { model } = network(3, 24);
    const learner = new ContinualLearner({ model, optimizer: new Adam(model.parameters(), { lr: 5e-3 }), methods });
    const first = all.map((context) => {
      learnContext(learner, context, 120);
      return accuracy(learner, context);
    });
    return { first, last: all.map((context) => accuracy(learner, context)) };
  });
  expect(Math.min(...kept!.first)).toBeGreaterThan(0.85);
  expect(kept!.last).toEqual(kept!.first);
  expect(plain!.last[0]).toBeLessThan(plain!.first[0]! - 0.05);
});

it('masks convolutions and what lies behind norms and dropout, and a norm learns in the first context alone', () => {
  const generator = new Generator(5);
  const [conv, norm] = [new Conv2d(1, 4, 2, { generator }), new LayerNorm(16)];
  const [hidden, last] = [new Linear(16, 8, { generator }), new Linear(8, 4, { generator })];
  const drop = new Dropout(0.2, { generator });
  const model = new Sequential(conv, new Tanh(), new Flatten(), norm, drop, hidden, new Tanh(), last);
  const method = packnet({ prune: 0.5, steps: 6 });
  const optimizer = new Adam(model.parameters(), { lr: 0.01 });
  const learner = new ContinualLearner({ model, optimizer, methods: [method] });
  const all = toyContexts({ contexts: 2, size: 9 }).map((context) => ({
    ...context,
    train: {
      ...context.train,
      inputs: (rows: ArrayLike<number>) => context.train.inputs(rows).reshape([rows.length, 1, 3, 3]),
    },
    test: {
      ...context.test,
      inputs: (rows: ArrayLike<number>) => context.test.inputs(rows).reshape([rows.length, 1, 3, 3]),
    },
  }));
  const coins = generator.state;
  learner.begin(all[0]!);
  // The look at the network draws nothing.
  expect(generator.state).toEqual(coins);
  expect(model.at(4).training).toBe(true);
  learnSteps(learner, all[0]!, 6);
  learner.end();
  expect([...method.ownersOf(conv.weight)!].filter((owner) => owner === 0)).toHaveLength(8);
  const [scale, answered] = [read(norm.weight!), accuracy(learner, all[0]!)];
  const logits = () => {
    method.prepare?.(0, null);
    model.eval();
    const out = read(noGrad(() => model.forward(all[0]!.test.inputs([0, 1, 2]))).slice([null, [0, 2]]));
    method.answered?.();
    model.train();
    return out;
  };
  const before = logits();
  learnContext(learner, all[1]!, 6);
  expect(read(norm.weight!)).toEqual(scale);
  expect(scale.some((x) => x !== 1)).toBe(true);
  expect(logits()).toEqual(before);
  expect(accuracy(learner, all[0]!)).toBe(answered);
});

describe('a newborn unit', () => {
  const rows = (count: number) => Array.from({ length: count }, (_, i) => 0.1 + i / 100);

  it('is not frozen, whoever owned the old one, and contexts of the past do not see it', () => {
    const own = packing(3);
    learnContext(own.learner, own.all[0]!, 12);
    own.learner.begin(own.all[1]!);
    learnSteps(own.learner, own.all[1]!, 2);
    const [layer] = findUnits(own.model.forward(own.all[0]!.test.inputs([0])));
    replaceUnits(layer!, [4], rows(6));
    const owners = [...own.method.ownersOf(own.first.weight)!];
    expect(owners.slice(24, 30)).toEqual([-1, -1, -1, -1, -1, -1]);
    const column = [...own.method.ownersOf(own.second.weight)!].filter((_, i) => i % 12 === 4);
    expect(new Set(column)).toEqual(new Set([-1]));
    const [weights, bias, answered] = [read(own.first.weight), read(own.first.bias!)[4], answers(own, own.all[0]!)];
    learnSteps(own.learner, own.all[1]!, 4);
    read(own.first.weight)
      .slice(24, 30)
      .forEach((w, i) => {
        expect(w).not.toBe(weights[24 + i]);
      });
    expect(read(own.first.bias!)[4]).not.toBe(bias);
    expect(answers(own, own.all[0]!)).toEqual(answered);
    learnSteps(own.learner, own.all[1]!, 6);
    own.learner.end();
    expect(answers(own, own.all[0]!)).toEqual(answered);
    // Its bias was of the first context's kind once; now it stands still like the others.
    const still = read(own.first.bias!);
    learnContext(own.learner, own.all[2]!, 12);
    expect(read(own.first.bias!)).toEqual(still);
  });

  it('is of the context that is being trained again, and learns', () => {
    const own = packing(2);
    own.learner.begin(own.all[0]!);
    learnSteps(own.learner, own.all[0]!, 10);
    const [layer] = findUnits(own.model.forward(own.all[0]!.test.inputs([0])));
    replaceUnits(layer!, [4], rows(6));
    expect([...own.method.ownersOf(own.first.weight)!].slice(24, 30)).toEqual([0, 0, 0, 0, 0, 0]);
    // Its outgoing weights are 0 at first, and are what moves first.
    learnSteps(own.learner, own.all[0]!, 2);
    expect(read(own.second.weight).filter((w, i) => i % 12 === 4 && w !== 0).length).toBeGreaterThan(4);
    own.learner.end();
  });
});

it('opens everything when it is removed', () => {
  const own = packing(2);
  learnContext(own.learner, own.all[0]!, 12);
  own.learner.begin(own.all[1]!);
  own.method.remove();
  const before = bits(own.model);
  own.model.zeroGrad();
  own.model
    .forward(randn([8, 6], { generator: new Generator(1) }))
    .square()
    .sum()
    .backward();
  new SGD(own.model.parameters(), { lr: 1 }).step();
  expect(read(own.first.weight).some((w, i) => w !== before[0]![i] && before[0]![i] !== 0)).toBe(true);
  expect(read(own.last.weight)[0]).not.toBe(before[4]![0]);
  expect(read(own.second.bias!)).not.toEqual(before[3]);
});

describe('what it cannot do is a sentence', () => {
  it.each<[PackNetOptions, RegExp]>([
    [{ prune: 1, retrain: 0 }, /prune is a share of the free weights, from 0 up and below 1, not 1/],
    [{ prune: Number.NaN, retrain: 0 }, /prune is.*not NaN/],
    [{ retrain: 1, steps: 5 }, /retrain is a share of the steps.*not 1/],
    [{}, /say how many steps a context has.*or retrain: 0/],
    [{ steps: 1.5 }, /steps is a number of steps, a whole number from 2 up, not 1.5/],
  ])('%j', (options, sentence) => expect(() => packnet(options)).toThrow(sentence));

  it('a question without its context', () => {
    const own = packing(1);
    const ask = () => own.learner.predict(randn([1, 6]), [0, 2], null);
    expect(ask).toThrow(/packnet: of which context are these examples\?/);
  });

  it('a scenario that does not tell', () => {
    const own = packing(2);
    const [context] = toyContexts({ contexts: 1, kind: 'domain' });
    expect(() => own.learner.begin(context!)).toThrow(/context 0 is of the kind 'domain'.*'task'/);
  });

  it('a layer that has nothing free', () => {
    const own = packing(2, { prune: 0, retrain: 0 });
    learnContext(own.learner, own.all[0]!, 1);
    expect(() => own.learner.begin(own.all[1]!)).toThrow(
      /nothing is free in 0.weight, of shape \[12, 6\], for context 1: .*prune, now 0/,
    );
  });

  it('a context that ends before it was pruned, or comes twice, or a batch of another', () => {
    const own = packing(2);
    own.learner.begin(own.all[0]!);
    expect(() => learnSteps(own.learner, own.all[1]!, 1)).toThrow(
      /a step on context 1, but context 0 is being learned/,
    );
    learnSteps(own.learner, own.all[0]!, 3);
    expect(() => own.learner.end()).toThrow(/context 0 ended before its step 8/);
    learnSteps(own.learner, own.all[0]!, 9);
    own.learner.end();
    expect(() => own.learner.begin(own.all[0]!)).toThrow(/context 0 begins after context 0/);
    const fresh = packing(1);
    expect(() => learnSteps(fresh.learner, fresh.all[0]!, 1)).toThrow(/no context has begun/);
  });

  it('heads that overlap', () => {
    const own = packing(2);
    learnContext(own.learner, own.all[0]!, 12);
    expect(() => own.learner.begin({ ...own.all[1]!, head: [1, 3] })).toThrow(
      /context 1 has the head \[1, 3\], and an earlier one \[0, 2\]/,
    );
  });

  it('a model without hidden layers, or whose output no linear layer gives', () => {
    const [context] = toyContexts({ contexts: 1 }) as [Context];
    const begin = (model: Sequential) => () => {
      const optimizer = new SGD(model.parameters(), { lr: 1 });
      new ContinualLearner({ model, optimizer, methods: [packnet({ retrain: 0 })] }).begin(context);
    };
    expect(begin(new Sequential(new Linear(6, 2)))).toThrow(/no weights but those of its output layer/);
    expect(begin(new Sequential(new Linear(6, 4), new Linear(4, 2), new Tanh()))).toThrow(/is the result of tanh/);
  });

  it('weights that are not numbers', () => {
    const own = packing(1, { retrain: 0 });
    own.learner.begin(own.all[0]!);
    noGrad(() => own.second.weight.copy_(mul(own.second.weight, Number.NaN)));
    expect(() => own.learner.end()).toThrow(/2.weight holds NaN/);
  });
});
