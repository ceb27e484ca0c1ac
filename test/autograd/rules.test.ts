import { describe, expect, it } from 'vitest';
import { Springs } from '../../src/autograd/message.ts';
import {
  add,
  attachRules,
  backward,
  Conv2d,
  checkGradients,
  crossEntropy,
  defineOp,
  detectAnomaly,
  errorAt,
  Flatten,
  gradientRule,
  gradients,
  inboxOf,
  Linear,
  linear,
  type Message,
  manualSeed,
  mul,
  type NodeRule,
  noGrad,
  parameter,
  ReLU,
  type Rule,
  randn,
  relu,
  type Sent,
  Sequential,
  setRule,
  slice,
  slope,
  spring,
  sum,
  type Tensor,
  tanh,
  target,
  tensor,
  type Visit,
  withRules,
  zeros,
} from '../../src/index.ts';
import { numbersOf } from '../../src/tensor/tensor.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();
const numbers = (x: Tensor): number[] => Array.from(numbersOf(x));

/** A rule that answers with what `propagate` says, and is a surrogate unless said otherwise. */
const ruled = (propagate: (visit: Visit) => Sent, rest: Partial<NodeRule> = {}): NodeRule => ({
  ...{ name: 'mine', accepts: 'any', surrogate: true, propagate },
  ...rest,
});
/** The gradient rule, times a number: which of several rules answered shows in the result. */
const times = (k: number): NodeRule =>
  gradientRule(`times ${k}`, (visit, g, index) => visit.gradientFor(index, g.mul(k)), { surrogate: true });
/** Keeps what it is told, and sends nothing. */
function listening(rest: Partial<NodeRule> = {}) {
  const heard: Visit[] = [];
  const rule = ruled((visit) => {
    heard.push(visit);
    return visit.inputs.map(() => null);
  }, rest);
  return { rule, heard };
}

describe('rules in force', () => {
  /** Which rule answers at a relu: the factor of the gradient that arrives. */
  const factor = (compute: (x: Tensor) => Tensor): number => {
    const x = leaf([1]);
    compute(x).sum().backward();
    return x.grad!.toArray() as unknown as number;
  };
  const at = (compute: (x: Tensor) => Tensor) => expect(factor(compute));

  it('are those of the scope in which the op was recorded, by its name', () => {
    at((x) => withRules({ relu: times(2) }, () => relu(x))).toEqual([2]);
    at((x) => withRules({ tanh: times(2) }, () => relu(x))).toEqual([1]);
    at((x) => relu(withRules({ relu: times(2) }, () => x))).toEqual([1]);
  });

  it('of the inner scope win; null is the gradient rule', () => {
    at((x) => withRules({ relu: times(2) }, () => withRules({ relu: times(3) }, () => relu(x)))).toEqual([3]);
    at((x) => withRules({ relu: times(2) }, () => withRules({ relu: null }, () => relu(x)))).toEqual([1]);
    at((x) => withRules({ relu: times(2) }, () => withRules({ tanh: times(3) }, () => relu(x)))).toEqual([2]);
    at((x) => withRules({ relu: null }, () => withRules({ relu: times(3) }, () => relu(x)))).toEqual([3]);
  });

  it("under '*' hold for every op that is not named, and outdo all that an outer scope says", () => {
    at((x) => withRules({ '*': times(2) }, () => relu(x))).toEqual([2]);
    at((x) => withRules({ '*': times(2) }, () => mul(relu(x), 1))).toEqual([4]);
    at((x) => withRules({ '*': times(2), relu: times(3) }, () => relu(x))).toEqual([3]);
    at((x) => withRules({ '*': times(2), relu: null }, () => relu(x))).toEqual([1]);
    at((x) => withRules({ relu: times(2) }, () => withRules({ '*': times(3) }, () => relu(x)))).toEqual([3]);
    at((x) => withRules({ '*': times(2) }, () => withRules({ relu: times(3) }, () => relu(x)))).toEqual([3]);
    at((x) => withRules({ relu: times(2) }, () => withRules({ '*': null }, () => relu(x)))).toEqual([1]);
  });

  it('end with their scope, also when it throws', () => {
    expect(() =>
      withRules({ relu: times(2) }, () => {
        throw new Error('mine');
      }),
    ).toThrow('mine');
    at(relu).toEqual([1]);
    at((x) => {
      withRules({ relu: times(2) }, () => withRules({ relu: times(3) }, () => relu(x)));
      return relu(x);
    }).toEqual([1]);
  });

  it('do not hold for what rules compute on their way', () => {
    const rule = gradientRule('squaring', (_, g) => mul(g, mul(g, 2)), { surrogate: true });
    const x = leaf([1]);
    withRules({ '*': rule }, () => {
      const y = mul(x, 3);
      backward(y);
    });
    expect(x.grad!.toArray()).toEqual([2]);
    // Nor for what is recorded of it: the derivative of the doubled gradient 4 x is 4.
    const z = leaf(3);
    const options = { createGraph: true, allowSurrogate: true };
    const [slopes] = withRules({ '*': times(2) }, () => gradients(mul(z, z), [z], options));
    expect(slopes!.item()).toBe(12);
    expect(gradients(slopes!, [z])[0]!.item()).toBe(4);
  });

  it('of one node, by setRule, hold whatever scope it was made in', () => {
    at((x) => setRule(relu(x), times(5))).toEqual([5]);
    at((x) =>
      setRule(
        withRules({ relu: times(2) }, () => relu(x)),
        null,
      ),
    ).toEqual([1]);
    at((x) => setRule(setRule(relu(x), times(2)), times(3))).toEqual([3]);
    at((x) => {
      // Written before the op read it: no reason to refuse.
      noGrad(() => x.add_(1));
      return setRule(add(x, 1), times(2));
    }).toEqual([2]);
  });

  it('refuse what is no rule, no op, or not synchronous', () => {
    const x = leaf([1]);
    expect(() => withRules({ rellu: times(1) }, () => x)).toThrow(/withRules: there is no op named rellu/);
    for (const wrong of [
      {},
      { name: 'a', surrogate: true },
      { name: 'a', accepts: 'any', propagate: () => [] },
      'relu',
    ])
      expect(() => withRules({ relu: wrong as unknown as Rule }, () => x)).toThrow(
        /withRules: a rule is an object with/,
      );
    expect(() => setRule(relu(x), {} as Rule)).toThrow(/setRule: a rule is an object/);
    expect(() => withRules({ relu: times(1) }, async () => x)).toThrow(/the callback returned a promise/);
    expect(() => setRule(x, times(1))).toThrow(/setRule: this tensor was not computed by a recorded op/);
    expect(() => setRule(tensor([1]), times(1))).toThrow(/setRule: this tensor was not computed/);
  });

  it('cannot be set when what the op read has changed since', () => {
    const w = leaf([1]);
    const y = mul(w, 2);
    w.node = null;
    w.add_(1);
    expect(() => setRule(y, times(2))).toThrow(/setRule: a value that mul read was changed in place since/);
  });
});

describe('attachRules', () => {
  const x = tensor([[1, 2]]);
  function model() {
    const inner = new Sequential(new Linear(2, 2), new ReLU());
    const outer = new Sequential(inner, new Linear(2, 1));
    for (const parameter of outer.parameters()) parameter.requiresGrad_(false).fill_(1).requiresGrad_();
    return { inner, outer };
  }
  /** The gradient of the first bias: the product of the factors of both linear layers. */
  const factor = (outer: Sequential): number => {
    outer.zeroGrad();
    outer.forward(x).sum().backward();
    return numbers(outer.parameters()[1]!.grad!)[0]!;
  };

  it('puts rules on all that a module computes; a module inside keeps its own', () => {
    const { inner, outer } = model();
    expect(factor(outer)).toBe(1);
    const off = attachRules(outer, { linear: times(2) });
    expect(factor(outer)).toBe(4);
    const offInner = attachRules(inner, { linear: times(5) });
    expect(factor(outer)).toBe(10);
    off();
    expect(factor(outer)).toBe(5);
    offInner();
    expect(factor(outer)).toBe(1);
  });

  it('is taken off once; what was attached later goes first', () => {
    const { outer } = model();
    const first = attachRules(outer, { linear: times(2) });
    const second = attachRules(outer, { linear: times(3) });
    expect(factor(outer)).toBe(9);
    expect(first).toThrow(/other rules were attached to this module since/);
    second();
    expect(factor(outer)).toBe(4);
    second();
    first();
    first();
    expect(factor(outer)).toBe(1);
    expect(Object.hasOwn(outer, 'forward')).toBe(false);
  });

  it('leaves the parameters and their names alone, and a forward of its own too', () => {
    const { outer } = model();
    const names = outer.namedParameters().map(([name]) => name);
    attachRules(outer, { linear: times(2) });
    expect(outer.namedParameters().map(([name]) => name)).toEqual(names);
    const plain = { forward: (y: Tensor) => relu(y) };
    const { forward } = plain;
    attachRules(plain, { relu: times(2) })();
    expect(plain.forward).toBe(forward);
  });

  it('checks the names at once', () => {
    expect(() => attachRules(model().outer, { liner: times(2) })).toThrow(/there is no op named liner/);
  });
});

describe('what a rule is told', () => {
  it('its op, attributes, output, and of each input the value, whether a message is wanted, whether it is learned', () => {
    const { rule, heard } = listening();
    const [x, w, b] = [randn([4, 3]), parameter(randn([2, 3])), parameter(randn([2]))];
    const y = setRule(linear(x, w, b), rule);
    y.sum().backward();
    const [visit] = heard;
    expect(visit!.op).toBe('linear');
    expect(visit!.output).toBe(y);
    expect(visit!.inputs.map(({ value }) => value)).toEqual([x, w, b]);
    expect(visit!.inputs.map(({ wanted }) => wanted)).toEqual([false, true, true]);
    expect(visit!.inputs.map(({ learned }) => learned)).toEqual([false, true, true]);
    expect(numbers(visit!.gradientFor(1, visit!.gradient)!)).toEqual(
      numbers(gradients(linear(x, w, b).sum(), [w])[0]!),
    );
    const z = setRule(slice(leaf([1, 2, 3]), [[1, 3]]), rule);
    z.sum().backward();
    expect(heard[1]!.attributes).toEqual({ parts: [{ start: 1, step: 1, count: 2 }] });
    expect(heard[1]!.inputs.map(({ learned }) => learned)).toEqual([false]);
  });

  it('only what was asked for, when gradients of some values are', () => {
    const { rule, heard } = listening();
    const [a, b] = [leaf([1]), leaf([2])];
    gradients(setRule(mul(a, b), rule), [b]);
    expect(heard[0]!.inputs.map(({ wanted }) => wanted)).toEqual([false, true]);
  });

  it('no settled values while it propagates', () => {
    const rule = ruled(({ inputs: [input] }) => [slope(input!.settled())]);
    expect(() =>
      setRule(relu(leaf([1])), rule)
        .sum()
        .backward(),
    ).toThrow(/settled: a value settles when all its consumers have spoken; read it in learn/);
  });

  it('the producible value nearest to a wish', () => {
    const found: unknown[] = [];
    const rule = ruled(({ inputs: [input] }) => {
      found.push(input!.feasible(tensor([-3, 5])).toArray());
      return [null];
    });
    setRule(tanh(relu(leaf([1, 2]))), rule)
      .sum()
      .backward();
    expect(found).toEqual([[0, 5]]);
  });

  it('broadcast values, by name', () => {
    const found: unknown[] = [];
    const rule = ruled((visit) => {
      found.push(visit.broadcast('label').toArray());
      return [null];
    });
    backward(setRule(relu(leaf([1])), rule), { broadcast: { label: tensor([7]) } });
    expect(found).toEqual([[7]]);
    expect(() => backward(setRule(relu(leaf([1])), rule), { broadcast: { other: tensor([7]) } })).toThrow(
      /relu \(\[1\] to \[1\]\): its rule reads the broadcast 'label', which was not given. Say backward\(loss, \{ broadcast: \{ label/,
    );
  });

  it('the error at a value above, whoever answers there: a gradient or a target', () => {
    const found: unknown[] = [];
    const rule = ruled((visit) => {
      found.push(visit.broadcast('error').toArray());
      return [null];
    });
    const hidden = setRule(relu(leaf([1, 2])), rule);
    const output = mul(hidden, 3);
    backward(output.square().sum(), { broadcast: { error: errorAt(output) } });
    backward(target(output, tensor([3, 3]), { precision: 2 }), { broadcast: { error: errorAt(output) } });
    expect(found).toEqual([
      [6, 12],
      [-0, 6],
    ]);
    for (const below of [leaf([1]), hidden])
      expect(() =>
        backward(mul(setRule(relu(hidden), rule), 1).sum(), { broadcast: { error: errorAt(below) } }),
      ).toThrow(/the error at a value that no message has reached yet/);
  });
});

describe('what arrives at a rule', () => {
  /** What a rule of this kind is told when these seeds start at its output. */
  function told(
    accepts: NodeRule['accepts'],
    send: (y: Tensor) => Parameters<typeof backward>[0],
    options = {},
  ): Message {
    const { rule, heard } = listening({ accepts, ...options });
    backward(send(setRule(mul(leaf([1, 2]), 1), rule)), { stiffness: 4 });
    return heard[0]!.message;
  }
  const wish = (y: Tensor) => target(y, tensor([2, 5]), { precision: 2 });
  const loss = (y: Tensor) => y.sum();

  it('is what it accepts: gradients are g - r', () => {
    expect(told('gradient', loss).kind).toBe('gradient');
    expect(told('gradient', wish).slope!.toArray()).toEqual([-2, -6]);
    expect(told('gradient', (y) => [loss(y), wish(y)]).slope!.toArray()).toEqual([-1, -5]);
    expect(told('gradient', (y) => [loss(y), wish(y)]).springs).toBeNull();
  });

  it('or targets, (r - g) / (rho + p) with precision rho + p, its own stiffness before that of the walk', () => {
    for (const [options, rho] of [
      [{}, 4],
      [{ stiffness: 1 }, 1],
    ] as const) {
      const mixed = told('target', (y) => [loss(y), wish(y)], options);
      expect(mixed.kind).toBe('target');
      expect(mixed.precision().toArray()).toBe(rho + 2);
      expect(numbers(mixed.step())).toEqual([1, 5].map((force) => Math.fround(force / (rho + 2))));
      expect(numbers(mixed.gradient())).toEqual([-1, -5]);
      const gradient = told('target', loss, options);
      expect([gradient.kind, gradient.precision().toArray()]).toEqual(['target', rho]);
      expect(numbers(gradient.step())).toEqual([-1 / rho, -1 / rho]);
    }
    const stiff = told('target', wish, { stiffness: 2 });
    expect([stiff.step().toArray(), stiff.precision().toArray()]).toEqual([[0.5, 1.5], 4]);
    const alone = told('target', wish, { stiffness: 0 });
    expect([alone.step().toArray(), alone.precision().toArray()]).toEqual([[1, 3], 2]);
  });

  it("or 'any', as it came", () => {
    expect(told('any', loss).kind).toBe('gradient');
    expect(told('any', wish).kind).toBe('target');
    const mixed = told('any', (y) => [loss(y), wish(y)]);
    expect([mixed.kind, mixed.slope!.toArray(), mixed.springs!.pull.toArray()]).toEqual(['mixed', [1, 1], [2, 6]]);
  });

  it('can be read as gradient, displacement and precision; the stiffness is there too', () => {
    const found: unknown[] = [];
    const rule = ruled((visit) => {
      const { gradient, displacement, precision, stiffness } = visit;
      found.push([gradient.toArray(), displacement.toArray(), precision.toArray(), stiffness]);
      return [null];
    });
    backward(wish(setRule(relu(leaf([1, 2])), rule)), { stiffness: 3 });
    backward(wish(setRule(relu(leaf([1, 2])), { ...rule, stiffness: 5 })), { stiffness: 3 });
    expect(found).toEqual([
      [[-2, -6], [1, 3], 2, 3],
      [[-2, -6], [1, 3], 2, 5],
    ]);
  });

  it('a gradient where a target is needed is an error without a step size', () => {
    const { rule } = listening({ accepts: 'target' });
    expect(() =>
      setRule(relu(leaf([1])), rule)
        .sum()
        .backward(),
    ).toThrow(/Give a step size: backward\(\.\.\., \{ stiffness/);
  });

  it('a target without a precision where a gradient is needed: the error says what to write', () => {
    const sentence =
      /nobody stated, and a gradient is needed.*target\(value, t, \{ precision: 1 \/ batchSize \}\) beside/;
    expect(() => backward(target(relu(leaf([1])), tensor([2])))).toThrow(sentence);
    const { rule } = listening({ accepts: 'gradient' });
    expect(() => backward(target(setRule(relu(leaf([1])), rule), tensor([2])))).toThrow(/^mine at relu.*nobody stated/);
  });

  it('a hard target where a gradient is needed is an error that names both', () => {
    const hard = (y: Tensor) => target(y, tensor([2]), { precision: Infinity });
    expect(() => backward(hard(relu(leaf([1]))))).toThrow(
      /^relu \(\[1\] to \[1\]\): a hard target \(of target\) has no form as a gradient/,
    );
    const { rule, heard } = listening({ accepts: 'target' });
    backward(hard(setRule(relu(leaf([1])), rule)));
    expect(heard[0]!.displacement.toArray()).toEqual([1]);
    const y = setRule(relu(leaf([1])), rule);
    backward([hard(y), sum(y)], { stiffness: 2 });
    expect(heard[1]!.displacement.toArray()).toEqual([1]);
  });
});

describe('what a rule sends', () => {
  const at = (propagate: (visit: Visit) => Sent, rest: Partial<NodeRule> = {}) => {
    const [x, w, b] = [leaf([[1, 2, 3]]), parameter(zeros([2, 3])), parameter(zeros([2]))];
    const y = setRule(linear(x, w, b), ruled(propagate, rest));
    return { x, w, b, run: () => y.sum().backward() };
  };
  const where = /linear \(\[1, 3\], \[2, 3\], \[2\] to \[1, 2\]\)/;

  it('is a message or null for each input, in their order', () => {
    const sent = at(() => [slope(tensor([[1, 2, 3]])), null, spring(tensor([4, 6]), 2)]);
    sent.run();
    expect(sent.x.grad!.toArray()).toEqual([[1, 2, 3]]);
    expect(sent.w.grad).toBeNull();
    expect(inboxOf(sent.b)!.step().toArray()).toEqual([4, 6]);
  });

  it('otherwise the error names the rule and the node: their number', () => {
    for (const wrong of [[null], [null, null, null, null], undefined, slope(tensor([1]))]) {
      const { run } = at(() => wrong as Sent);
      expect(run).toThrow(/mine: at .* the rule returned .*; the op has 3 inputs \(input, weight, bias\?\)/);
      expect(run).toThrow(where);
    }
  });

  it('their shape', () => {
    const { run } = at(() => [slope(tensor([1, 2, 3])), null, null]);
    expect(run).toThrow(/the rule mine of linear sent shape \[3\] to its input input, which has shape \[1, 3\]/);
    expect(run).toThrow(where);
    const wide = gradientRule('wide', () => tensor([1, 2]), { surrogate: true });
    expect(() =>
      setRule(relu(leaf([1])), wide)
        .sum()
        .backward(),
    ).toThrow(/the rule wide of relu sent shape \[2\] to its input x, which has shape \[1\]/);
  });

  it('their kind', () => {
    for (const wrong of [tensor([[1, 2, 3]]), 1, undefined]) {
      const { run } = at(() => [wrong as unknown as Message, null, null]);
      expect(run).toThrow(/mine: at .* the rule sent .* to input 0; messages are made by slope and spring/);
      expect(run).toThrow(where);
    }
  });

  it('with a learn part: to data in propagate, to what is learned in learn', () => {
    const nothing = () => [null, null, null];
    const early = at(() => [null, slope(zeros([2, 3])), null], { learn: nothing });
    expect(early.run).toThrow(
      /propagate sent to input 1, which is learned: this rule has a learn part, send to it there/,
    );
    const late = at(nothing, { learn: () => [slope(zeros([1, 3])), null, null] });
    expect(late.run).toThrow(/learn sent to input 0, which is data: send to it in propagate/);
    const wrong = at(nothing, { learn: () => [null] });
    expect(wrong.run).toThrow(/the rule returned 1 messages; the op has 3 inputs/);
  });

  it('reads values as they were: one changed in place since is an error', () => {
    const { x, run } = at((visit) => visit.inputs.map(() => null));
    x.node = null;
    x.add_(1);
    expect(run).toThrow(/a value that linear needs for its gradient was changed in place after linear read it/);
  });

  it('is checked under detectAnomaly: the op is named', () => {
    const bad = ruled(() => [slope(tensor([Number.NaN]))]);
    expect(() =>
      detectAnomaly(() =>
        setRule(relu(leaf([1])), bad)
          .sum()
          .backward(),
      ),
    ).toThrow(/the message of relu made NaN/);
    // At the root too, where nothing was visited before; and what the rule computes on its way is its own affair.
    const worse = ruled((visit) => [slope(visit.inputs[0]!.value.sub(2).log())]);
    expect(() => detectAnomaly(() => backward(setRule(relu(leaf([1])), worse)))).toThrow(
      /the message of relu made NaN/,
    );
    const badTarget = ruled(() => [spring(tensor([Number.NaN]), 1)]);
    const y = () => backward(setRule(relu(leaf([1])), badTarget).sum());
    expect(y).not.toThrow();
  });

  it('to a value that nobody asked about goes nowhere', () => {
    const [x, w] = [leaf([1]), leaf([2])];
    const all = ruled(() => [slope(tensor([5])), slope(tensor([7]))]);
    expect(gradients(setRule(mul(x, w), all), [w])[0]!.toArray()).toEqual([7]);
    expect([x.grad, w.grad]).toEqual([null, null]);
  });

  it('to somebody without a history goes nowhere', () => {
    const x = tensor([1]);
    const w = leaf([2]);
    backward(
      setRule(
        mul(x, w),
        ruled(() => [slope(tensor([1])), slope(tensor([3]))]),
      ),
    );
    expect(w.grad!.toArray()).toEqual([3]);
  });
});

describe('the gradient rule', () => {
  function training() {
    manualSeed(7);
    const model = new Sequential(
      new Conv2d(1, 2, 3),
      new ReLU(),
      new Flatten(),
      new Linear(8, 5),
      new ReLU(),
      new Linear(5, 3),
    );
    const x = randn([6, 1, 4, 4]);
    return { model, loss: () => crossEntropy(model.forward(x), [0, 1, 2, 0, 1, 2]) };
  }
  const bits = (model: Sequential) =>
    model.parameters().map((p) => Array.from(new Int32Array(p.grad!.toFloat32Array().buffer)));

  function expected() {
    const { model, loss } = training();
    loss().backward();
    return bits(model);
  }

  it('is what everything has by default: scopes of null make plain backpropagation, bit for bit, and no spring', () => {
    const plain = expected();
    const { model, loss } = training();
    const before = Springs.made;
    withRules({ '*': null, linear: null }, () => backward(loss()));
    expect(bits(model)).toEqual(plain);
    expect(Springs.made).toBe(before);
  });

  it('is in force everywhere with rules: false, bit for bit, and nobody else is asked', () => {
    const plain = expected();
    const { model, loss } = training();
    const deaf = ruled(() => {
      throw new Error('asked');
    });
    const learner = ruled(deaf.propagate, { learn: deaf.propagate });
    const block = { name: 'block', surrogate: true, settle: () => deaf.propagate(undefined as unknown as Visit) };
    for (const rule of [deaf, learner, block as unknown as Rule]) {
      model.zeroGrad();
      withRules({ '*': rule }, () => backward(loss(), { rules: false }));
      expect(bits(model)).toEqual(plain);
    }
  });

  it('written as a rule sends the same', () => {
    const plain = expected();
    const { model, loss } = training();
    withRules(
      { '*': gradientRule('same', (visit, g, index) => visit.gradientFor(index, g), { surrogate: false }) },
      () => backward(loss()),
    );
    for (const [i, p] of model.parameters().entries()) {
      const values = new Float32Array(Int32Array.from(plain[i]!).buffer);
      for (const [k, x] of numbers(p.grad!).entries()) expect(x).toBeCloseTo(values[k]!, 5);
    }
  });

  it('turns targets into gradients: a target pulls as its loss does', () => {
    const [w, t] = [leaf([[1, -2, 3]]), tensor([[0.5, 1]])];
    const m = tensor([
      [1, 2, 0],
      [0, 1, -1],
    ]);
    backward(target(linear(w, m), t, { precision: 3 }));
    const [slopes] = gradients(linear(w, m).sub(t).square().sum().mul(1.5), [w]);
    expect(numbers(w.grad!)).toEqual(numbers(slopes!));
    expect(inboxOf(w)!.kind).toBe('gradient');
  });
});

describe('surrogates', () => {
  const straight = gradientRule('straight', (_, g) => g, { surrogate: true });
  const honest = gradientRule('honest', (visit, g, i) => visit.gradientFor(i, g), { surrogate: false });
  const sentence =
    /straight at relu \(\[2\] to \[2\]\) is a surrogate: what it sends is not the derivative.*allowSurrogate: true/;

  it('are refused where derivatives of derivatives are recorded, unless they are allowed', () => {
    const x = leaf([-1, 2]);
    const y = () => setRule(relu(x), straight).sum();
    expect(() => gradients(y(), [x], { createGraph: true })).toThrow(sentence);
    expect(() => backward(y(), { createGraph: true })).toThrow(sentence);
    expect(numbers(gradients(y(), [x], { createGraph: true, allowSurrogate: true })[0]!)).toEqual([1, 1]);
    backward(y(), { createGraph: true, allowSurrogate: true });
    expect(numbers(x.grad!)).toEqual([1, 1]);
    expect(() => gradients(y(), [x])).not.toThrow();
    expect(() => gradients(setRule(relu(x), honest).sum(), [x], { createGraph: true })).not.toThrow();
  });

  it('and by checkGradients', () => {
    const f = (rule: Rule) => (x: Tensor) => setRule(relu(x), rule);
    const inputs = [tensor([0.5, 2])];
    expect(() => checkGradients(f(straight), inputs)).toThrow(sentence);
    expect(() => checkGradients(f(straight), inputs, { order: 1 })).toThrow(sentence);
    checkGradients(f(straight), inputs, { allowSurrogate: true });
    checkGradients(f(honest), inputs);
    expect(() => checkGradients(f(straight), [tensor([-0.5, 2])], { allowSurrogate: true })).toThrow(
      /differences give/,
    );
  });

  it('of a block too', () => {
    const block = { name: 'block', surrogate: true, settle: () => undefined };
    const x = leaf([1, 2]);
    expect(() => backward(setRule(relu(x), block).sum(), { createGraph: true })).toThrow(/^block at relu .*surrogate/);
    expect(() => backward(setRule(relu(x), block).sum(), { createGraph: true, allowSurrogate: true })).not.toThrow();
  });

  it('may be ops as well', () => {
    const rounded = defineOp<[Tensor]>({
      ...{ name: 'test rounded', inputs: ['x'], surrogate: true, samples: () => [] },
      forward: ([x]) => x.mul(2),
      gradient: [(_, g) => g],
    });
    const x = leaf([1]);
    expect(() => gradients(rounded(x), [x], { createGraph: true })).toThrow(
      /^test rounded at test rounded .* is a surrogate/,
    );
    expect(gradients(rounded(x), [x])[0]!.toArray()).toEqual([1]);
  });
});
