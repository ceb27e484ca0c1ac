/** Hard attention to the task: masks, their schedule, what they cost and what they protect, against the published formulas. */
import { describe, expect, it } from 'vitest';
import { noGrad } from '../../src/autograd/modes.ts';
import '../../src/ops/methods.ts';
import { ContinualLearner } from '../../src/continual/learner.ts';
import { type HatOptions, hat } from '../../src/continual/masks/hat.ts';
import { HatMask } from '../../src/continual/masks/hat-mask.ts';
import { replaceUnits } from '../../src/continual/newborn.ts';
import type { Context } from '../../src/data/scenarios.ts';
import { ReLU } from '../../src/nn/activation.ts';
import { Flatten, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Dropout } from '../../src/nn/dropout.ts';
import { Linear } from '../../src/nn/linear.ts';
import { LayerNorm } from '../../src/nn/normalization.ts';
import { MaxPool2d } from '../../src/nn/pool.ts';
import { Adam } from '../../src/optim/adam.ts';
import { SGD } from '../../src/optim/sgd.ts';
import { Generator } from '../../src/random/generator.ts';
import { readGate } from '../../src/state/gate.ts';
import { stateOf } from '../../src/state/side-state.ts';
import { findUnits } from '../../src/state/units.ts';
import { ones, tensor } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { accuracy, learnContext, learnSteps, toyContexts } from './toy-contexts.ts';

const read = (x: Tensor): number[] => [...x.toFloat32Array()];
const set = (x: Tensor, numbers: readonly number[]): Tensor => noGrad(() => x.copy_(tensor(numbers, x.shape)));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
/** The gate is the method's, and no state of the model. */
const gateOf = (w: Tensor): number[] => read(readGate('test', stateOf(w)!.plasticities[0]!.gate, w));

function setup(
  options: HatOptions,
  { contexts = 2, width = 4, make = (w: Tensor[]) => new SGD(w, { lr: 0.1 }) as SGD | Adam } = {},
) {
  const generator = new Generator(3);
  const [first, second] = [new Linear(6, width, { generator }), new Linear(width, width, { generator })];
  const last = new Linear(width, 2 * contexts, { generator });
  const masks = [0, 1].map(() => new HatMask(width, { contexts, generator })) as [HatMask, HatMask];
  const model = new Sequential(first, new ReLU(), masks[0], new Sequential(second, new ReLU()), masks[1], last);
  const method = hat(options);
  const learner = new ContinualLearner({ model, optimizer: make(model.parameters()), methods: [method] });
  return { first, second, last, masks, model, method, learner, all: toyContexts({ contexts }) };
}

/** Embeddings so far from 0 that the masks of a context are these. */
const choose = ({ embeddings }: HatMask, context: number, on: readonly number[]): Tensor =>
  set(
    embeddings[context]!,
    on.map((one) => (one === 1 ? 6 : -6)),
  );

describe('the mask', () => {
  it('is not there without the method', () => {
    const mask = new HatMask(3, { contexts: 2 });
    const x = randn([2, 3]);
    expect(mask.forward(x)).toBe(x);
  });

  it('is sigmoid(s e) over units, of images over channels', () => {
    const mask = new HatMask(2, { contexts: 2, generator: new Generator(1) });
    set(mask.embeddings[1]!, [0.5, -1]);
    mask.inForce = { context: 1, scale: 2 };
    const [a, b] = [sigmoid(1), sigmoid(-2)];
    const out = read(mask.forward(tensor([[1, 2]])));
    expect(out[0]).toBeCloseTo(a, 6);
    expect(out[1]).toBeCloseTo(2 * b, 6);
    const image = read(mask.forward(ones([1, 2, 1, 2])));
    [a, a, b, b].forEach((x, i) => {
      expect(image[i]).toBeCloseTo(x, 6);
    });
  });

  it('hardens from 1 / smax to smax in equal parts, and begins anew', () => {
    const own = setup({ steps: 3, smax: 10, lambda: 0 });
    own.learner.begin(own.all[0]!);
    const scales = Array.from({ length: 5 }, () => {
      learnSteps(own.learner, own.all[0]!, 1);
      return own.masks[1].inForce!.scale;
    });
    [0.1, 5.05, 10, 0.1, 5.05].forEach((s, i) => {
      expect(scales[i]).toBeCloseTo(s, 12);
    });
    const single = setup({ steps: 1, smax: 10 });
    single.learner.begin(single.all[0]!);
    learnSteps(single.learner, single.all[0]!, 1);
    expect(single.masks[0].inForce).toEqual({ context: 0, scale: 10 });
  });

  it('is that of the context asked about, as hard as it gets; then again the one in force before', () => {
    const own = setup({ steps: 4, smax: 50 });
    own.learner.begin(own.all[0]!);
    learnSteps(own.learner, own.all[0]!, 2);
    const before = own.masks[0].inForce;
    const x = own.all[1]!.test.inputs([0, 1, 2]);
    own.method.prepare?.(1, null);
    const output = read(noGrad(() => own.model.forward(x)));
    own.method.answered?.();
    expect(own.masks[0].inForce).toEqual(before);
    const [one, two] = own.masks.map(({ embeddings }) => noGrad(() => embeddings[1]!.mul(50).sigmoid()));
    const hidden = noGrad(() => own.first.forward(x).relu().mul(one!));
    expect(output).toEqual(read(noGrad(() => own.last.forward(own.second.forward(hidden).relu().mul(two!)))));
    expect(() => own.learner.predict(randn([1, 5]), [0, 2], 1)).toThrow();
    expect(own.masks[0].inForce).toEqual(before);
    own.learner.end();
    own.learner.predict(x, [2, 4], 1);
    expect(own.masks[0].inForce).toEqual({ context: 0, scale: 50 });
  });

  it('is not there before the first context, when it is asked', () => {
    const own = setup({ steps: 4 });
    const x = own.all[0]!.test.inputs([0, 1, 2]);
    const plain = noGrad(() =>
      own.model
        .forward(x)
        .slice([null, [0, 2]])
        .argmax(1),
    ).toArray();
    expect([...own.learner.predict(x, [0, 2], 0)]).toEqual(plain);
    expect(own.masks[0].inForce).toBeNull();
  });
});

describe('the price of units', () => {
  it('is lambda times the mean mask over what no context before has used', () => {
    const own = setup({ steps: 5, smax: 4, lambda: 0.75 });
    own.learner.begin(own.all[0]!);
    const price = (context: number) => {
      own.method.prepare?.(context, 2);
      own.model.forward(ones([1, 6]));
      return own.method.loss!(tensor(0), null as never).item();
    };
    const s = 1 / 4 + ((4 - 1 / 4) * 2) / 4;
    const masks = (context: number, scale: number) =>
      own.masks.map(({ embeddings }) => read(embeddings[context]!).map((e) => sigmoid(scale * e)));
    const mean =
      masks(0, s)
        .flat()
        .reduce((sum, a) => sum + a, 0) / 8;
    expect(price(0)).toBeCloseTo(0.75 * mean, 6);
    own.learner.end();
    const free = masks(0, 4)
      .flat()
      .map((a) => 1 - a);
    const weighted = masks(1, s)
      .flat()
      .reduce((sum, a, i) => sum + a * free[i]!, 0);
    own.learner.begin(own.all[1]!);
    expect(price(1)).toBeCloseTo((0.75 * weighted) / free.reduce((sum, x) => sum + x, 0), 6);
  });

  it('keeps contexts small', () => {
    const used = [0, 4].map((lambda) => {
      const make = (w: Tensor[]) => new Adam(w, { lr: 0.02 });
      const own = setup({ steps: 80, lambda }, { width: 16, make });
      learnContext(own.learner, own.all[0]!, 80);
      return own.method
        .inUse()
        .flatMap((masks) => [...masks])
        .filter((a) => a > 0.5).length;
    });
    expect(used[1]).toBeLessThan(used[0]! - 5);
  });
});

describe('embeddings', () => {
  it('move by the gradient times smax / s (cosh(s e) + 1) / (cosh(e) + 1), and stay within 6', () => {
    const rates = [0.01, 1e6];
    const moved = rates.map((lr) => {
      const own = setup({ steps: 5, smax: 20, lambda: 1 }, { make: (w) => new SGD(w, { lr }) });
      own.learner.begin(own.all[0]!);
      const [, mask] = own.masks;
      const e = set(mask.embeddings[0]!, [0.3, -1, 2, 5.9]);
      const before = read(e);
      own.learner.learn({ ...batchOf(own.all[0]!), context: 0 });
      const s = 1 / 20;
      const change = read(e).map((x, i) => (before[i]! - x) / lr);
      return { change, s, after: read(e), before, own };
    });
    const { change, s, before, own } = moved[0]!;
    // The same gradient without the method: the loss by hand.
    own.method.remove();
    const { x, labels, head } = batchOf(own.all[0]!);
    const fresh = setup({ steps: 5, smax: 20, lambda: 1 });
    set(fresh.masks[1].embeddings[0]!, before);
    for (const mask of fresh.masks) mask.inForce = { context: 0, scale: s };
    const loss = fresh.learner.learning.lossOf(fresh.model.forward(x), labels, head);
    const price = fresh.masks[0].mask!.sum().add(fresh.masks[1].mask!.sum()).div(8);
    loss.add(price).backward();
    const plain = read(fresh.masks[1].embeddings[0]!.grad!);
    before.forEach((e, i) => {
      const factor = ((20 / s) * (Math.cosh(s * e) + 1)) / (Math.cosh(e) + 1);
      expect(change[i]! / (plain[i]! * factor)).toBeCloseTo(1, 2);
    });
    expect(moved[1]!.after.every((e) => Math.abs(e) <= 6)).toBe(true);
    // At this rate all leave the bounds, on the side to which their gradient sends them.
    expect(moved[1]!.after).toEqual(moved[0]!.change.map((g) => -6 * Math.sign(g)));
  });

  it('have finite gradients however hard the mask', () => {
    const own = setup({ steps: 1, smax: 400, lambda: 0.75 });
    own.learner.begin(own.all[0]!);
    set(own.masks[0].embeddings[0]!, [6, -6, 0.1, -0.02]);
    learnSteps(own.learner, own.all[0]!, 1);
    expect(own.model.parameters().flatMap(read).every(Number.isFinite)).toBe(true);
  });

  it('of other contexts do not move', () => {
    const own = setup({ steps: 5 }, { make: (w) => new Adam(w, { lr: 0.01 }) });
    learnContext(own.learner, own.all[0]!, 5);
    const [first, second] = own.masks[0].embeddings as [Tensor, Tensor];
    const [before, other] = [read(first), read(second)];
    learnContext(own.learner, own.all[1]!, 5);
    expect(read(first)).toEqual(before);
    expect(read(second)).not.toEqual(other);
  });
});

const batchOf = ({ train, head }: Context) => ({
  x: train.inputs([0, 1, 2, 3]),
  labels: train.labels.slice(0, 4),
  head,
});

describe('what earlier contexts use', () => {
  it('has plasticity 1 - min(A of the unit, A of the one it reads)', () => {
    const own = setup({ steps: 3, lambda: 0 }, { make: (w) => new SGD(w, { lr: 0 }) });
    choose(own.masks[0], 0, [1, 0, 0, 1]);
    choose(own.masks[1], 0, [0, 1, 0, 0]);
    learnContext(own.learner, own.all[0]!, 1);
    expect(own.method.inUse().map((masks) => [...masks])).toEqual([
      [1, 0, 0, 1],
      [0, 1, 0, 0],
    ]);
    expect(gateOf(own.first.weight)).toEqual([0, 1, 1, 0].flatMap((gate) => Array(6).fill(gate)));
    expect(gateOf(own.first.bias!)).toEqual([0, 1, 1, 0]);
    expect(gateOf(own.second.weight)).toEqual([1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect(gateOf(own.second.bias!)).toEqual([1, 0, 1, 1]);
    expect(gateOf(own.last.weight)).toEqual([0, 0, 1, 1]);
    // The next context takes more, and nothing comes free.
    choose(own.masks[0], 1, [0, 1, 0, 0]);
    choose(own.masks[1], 1, [0, 0, 1, 0]);
    learnContext(own.learner, own.all[1]!, 1);
    expect(gateOf(own.first.bias!)).toEqual([0, 0, 1, 0]);
    expect(gateOf(own.second.weight)).toEqual([1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1, 1]);
    expect(gateOf(own.last.bias!)).toEqual([0, 0, 0, 0]);
  });

  it('has shares between, where masks are soft', () => {
    const own = setup({ steps: 3, smax: 2, lambda: 0 }, { make: (w) => new SGD(w, { lr: 0 }) });
    set(own.masks[0].embeddings[0]!, [0.2, -0.4, 0, 1]);
    set(own.masks[1].embeddings[0]!, [0.1, -1, 0.5, 2]);
    learnContext(own.learner, own.all[0]!, 1);
    const [a, b] = [
      [0.2, -0.4, 0, 1],
      [0.1, -1, 0.5, 2],
    ].map((e) => e.map((x) => sigmoid(2 * x)));
    const gates = gateOf(own.second.weight);
    b!.forEach((post, i) => {
      for (const [j, pre] of a!.entries()) expect(gates[4 * i + j]).toBeCloseTo(1 - Math.min(post, pre), 6);
    });
  });

  it('takes, under plain SGD, the step of gradients that were scaled by it, as published', () => {
    const [gated, scaled] = [true, false].map((withMethod) => {
      const own = setup({ steps: 4, smax: 2, lambda: 0 }, { make: (w) => new SGD(w, { lr: 0.5 }) });
      learnContext(own.learner, own.all[0]!, 4);
      own.learner.begin(own.all[1]!);
      const gates = new Map(
        [own.first, own.second].flatMap(({ weight, bias }) => [weight, bias!]).map((w) => [w, gateOf(w)]),
      );
      if (withMethod) learnSteps(own.learner, own.all[1]!, 1, 4);
      else {
        const { x, labels, head } = batchOf(own.all[1]!);
        own.method.prepare?.(1, 0);
        const loss = own.learner.learning.lossOf(own.model.forward(x), labels, head);
        own.model.zeroGrad();
        loss.backward();
        for (const [w, gate] of gates)
          set(
            w,
            read(w).map((one, i) => one - 0.5 * gate[i]! * read(w.grad!)[i]!),
          );
      }
      return [...gates.keys()].flatMap(read);
    });
    gated!.forEach((w, i) => {
      expect(w).toBeCloseTo(scaled![i]!, 6);
    });
  });

  it('does not move to the bit where masks are full, under Adam and decay, and nothing is forgotten', () => {
    const own = setup(
      { steps: 120 },
      { contexts: 3, width: 24, make: (w) => new Adam(w, { lr: 5e-3, weightDecay: 0.001 }) },
    );
    const first = own.all.map((context, i) => {
      const before = own.second.weight;
      const [numbers, gates] = [read(before), i === 0 ? null : gateOf(before)];
      learnContext(own.learner, context, 120);
      if (gates !== null) {
        const still = gates.flatMap((gate, j) => (gate === 0 ? [j] : []));
        expect(still.length).toBeGreaterThan(10);
        for (const j of still) expect(read(before)[j]).toBe(numbers[j]);
        expect(read(before).some((w, j) => w !== numbers[j])).toBe(true);
      }
      return accuracy(own.learner, context);
    });
    expect(Math.min(...first)).toBeGreaterThan(0.85);
    own.all.forEach((context, i) => {
      expect(Math.abs(accuracy(own.learner, context) - first[i]!)).toBeLessThan(0.011);
    });
  });

  it('is masked channel by channel, through pooling and flattening', () => {
    const generator = new Generator(2);
    const [conv, hidden, last] = [
      new Conv2d(1, 2, 2, { generator }),
      new Linear(8, 3, { generator }),
      new Linear(3, 2),
    ];
    const masks = [new HatMask(2, { contexts: 1, generator }), new HatMask(3, { contexts: 1, generator })] as const;
    const model = new Sequential(
      conv,
      new ReLU(),
      masks[0],
      new MaxPool2d(2),
      new Flatten(),
      hidden,
      new ReLU(),
      new Dropout(0),
      masks[1],
      last,
    );
    const learner = new ContinualLearner({
      model,
      optimizer: new SGD(model.parameters(), { lr: 0 }),
      methods: [hat({ steps: 1 })],
    });
    const [toy] = toyContexts({ contexts: 1, size: 25 }) as [Context];
    const inputs = (rows: ArrayLike<number>) => toy.train.inputs(rows).reshape([rows.length, 1, 5, 5]);
    choose(masks[0], 0, [0, 1]);
    choose(masks[1], 0, [1, 0, 1]);
    learnContext(learner, { ...toy, train: { ...toy.train, inputs } }, 1);
    expect(gateOf(conv.weight)).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
    const row = [1, 1, 1, 1, 0, 0, 0, 0];
    expect(gateOf(hidden.weight)).toEqual([...row, ...Array(8).fill(1), ...row]);
  });
});

it('a newborn unit is not frozen, counts as free, and contexts of the past do not see it', () => {
  const own = setup({ steps: 6 }, { contexts: 3, make: (w) => new Adam(w, { lr: 0.01 }) });
  choose(own.masks[0], 0, [1, 1, 0, 0]);
  choose(own.masks[1], 0, [1, 1, 1, 0]);
  own.learner.begin(own.all[0]!);
  own.learner.end();
  for (const mask of own.masks) choose(mask, 1, [1, 1, 1, 1]);
  own.learner.begin(own.all[1]!);
  // Units are found where no mask stands between: the same network without the method.
  for (const mask of own.masks) mask.inForce = null;
  const [layer] = findUnits(own.model.forward(ones([1, 6])));
  const answers = () => {
    own.method.prepare?.(0, null);
    const out = read(noGrad(() => own.model.forward(own.all[0]!.test.inputs([0, 1, 2]))).slice([null, [0, 2]]));
    own.method.answered?.();
    return out;
  };
  replaceUnits(layer!, [1], [1, 1, 1, 1, 1, 1]);
  expect([...own.method.inUse()[0]!]).toEqual([1, 0, 0, 0]);
  expect(gateOf(own.first.weight).slice(0, 12)).toEqual([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
  expect(gateOf(own.first.bias!)).toEqual([0, 1, 1, 1]);
  expect(gateOf(own.second.weight).slice(0, 4)).toEqual([0, 1, 1, 1]);
  const before = answers();
  learnSteps(own.learner, own.all[1]!, 6);
  expect(read(own.first.weight).slice(0, 6)).not.toContain(1);
  read(own.first.weight)
    .slice(6, 12)
    .forEach((w) => {
      expect(w).not.toBe(1);
    });
  expect(read(own.second.weight)[1]).not.toBe(0);
  answers().forEach((y, i) => {
    expect(y).toBeCloseTo(before[i]!, 6);
  });
  own.learner.end();
  expect(own.method.inUse()[0]![1]).toBe(1);
  expect(gateOf(own.first.bias!)).toEqual([0, 0, 0, 0]);
});

it('takes off masks and gates when it is removed', () => {
  const own = setup({ steps: 2 });
  learnContext(own.learner, own.all[0]!, 2);
  own.method.remove();
  expect(own.masks.map(({ inForce }) => inForce)).toEqual([null, null]);
  for (const w of own.model.parameters()) expect(stateOf(w)?.plasticities ?? []).toEqual([]);
});

describe('what it cannot do is a sentence', () => {
  it.each<[HatOptions, RegExp]>([
    [{ steps: 0 }, /steps is a number of steps.*not 0/],
    [{ steps: 5, smax: 1 }, /smax is a finite number above 1, not 1/],
    [{ steps: 5, lambda: -1 }, /lambda is a finite number from 0 up, not -1/],
    [undefined as unknown as HatOptions, /in how many steps the masks harden/],
  ])('%j', (options, sentence) => expect(() => hat(options)).toThrow(sentence));

  const begin =
    (...layers: ConstructorParameters<typeof Sequential>) =>
    () => {
      const model = new Sequential(...layers);
      const learner = new ContinualLearner({
        model,
        optimizer: new SGD(model.parameters(), { lr: 1 }),
        methods: [hat({ steps: 2 })],
      });
      learner.begin(toyContexts({ contexts: 1 })[0]!);
    };
  const mask = (units: number) => new HatMask(units, { contexts: 1 });

  it('networks in which masks are missing, too many, of the wrong size, or beside parameters that they do not cover', () => {
    expect(begin(new Linear(6, 4), new ReLU(), new Linear(4, 2))).toThrow(
      /behind the layer with the weight of shape \[4, 6\] stands no HatMask/,
    );
    expect(begin(new Linear(6, 4), mask(4), mask(4), new Linear(4, 2))).toThrow(
      /behind the activation of a layer of its own/,
    );
    expect(begin(mask(6), new Linear(6, 2))).toThrow(/behind the activation of a layer of its own/);
    expect(begin(new Linear(6, 4), mask(3), new Linear(4, 2))).toThrow(/HatMask of 3 units stands behind a layer of 4/);
    expect(begin(new Linear(6, 2))).toThrow(/needs hidden layers with a HatMask behind each/);
    expect(begin(new Linear(6, 2), mask(2))).toThrow(/a linear layer of outputs with none/);
    expect(begin(new Linear(6, 4), new LayerNorm(4), mask(4), new Linear(4, 2))).toThrow(
      /parameters of LayerNorm belong to no unit/,
    );
    expect(begin(new Linear(6, 4), mask(4), new Linear(6, 2))).toThrow(/does not read each of the 4 units/);
  });

  it('a model that is no Sequential', () => {
    const model = new Linear(6, 2);
    const learner = new ContinualLearner({
      model,
      optimizer: new SGD(model.parameters(), { lr: 1 }),
      methods: [hat({ steps: 2 })],
    });
    expect(() => learner.begin(toyContexts({ contexts: 1 })[0]!)).toThrow(/must be a Sequential/);
  });

  it('a context that is not told, shared heads, more contexts than masks, no context begun', () => {
    const own = setup({ steps: 2 });
    const x = randn([1, 6]);
    expect(() => own.learner.predict(x, [0, 2], null)).toThrow(/of which context are these examples/);
    expect(() => learnSteps(own.learner, own.all[0]!, 1)).toThrow(/no context has begun/);
    expect(() => own.learner.begin(toyContexts({ contexts: 1, kind: 'class' })[0]!)).toThrow(/of the kind 'class'/);
    learnContext(own.learner, own.all[0]!, 1);
    expect(() => own.learner.begin({ ...own.all[1]!, head: [0, 2] })).toThrow(/context 1 has the head/);
    expect(() => own.learner.begin({ ...own.all[1]!, index: 2, head: [2, 4] })).toThrow(
      /no mask for context 2.*is for 2/,
    );
    expect(() => own.learner.predict(x, [0, 2], 7)).toThrow(/no mask for context 7/);
  });

  it('masks that leave nothing free', () => {
    const own = setup({ steps: 2, lambda: 0 }, { make: (w) => new SGD(w, { lr: 0 }) });
    for (const mask of own.masks) choose(mask, 0, [1, 1, 1, 1]);
    learnContext(own.learner, own.all[0]!, 1);
    expect(() => own.learner.begin(own.all[1]!)).toThrow(/taken all hidden units, .* for context 1.*lambda \(now 0\)/);
  });

  it('a HatMask of no units, or of an input that has others', () => {
    expect(() => new HatMask(0, { contexts: 2 })).toThrow(/units must be a whole number from 1 up, but it is 0/);
    expect(() => new HatMask(2, { contexts: 1.5 })).toThrow(/contexts must be/);
    const own = mask(3);
    own.inForce = { context: 0, scale: 1 };
    expect(() => own.forward(ones([2, 4]))).toThrow(/3 units need an input \[n, 3, ...\], but its shape is \[2, 4\]/);
    own.inForce = { context: 3, scale: 1 };
    expect(() => own.forward(ones([2, 3]))).toThrow(/there is no context 3; it was made for 1/);
  });
});
