/** What a first-time user gets wrong about messages, hooks and rules, and the sentence that says so. */
import { describe, expect, it } from 'vitest';
import {
  add,
  attachRules,
  backward,
  errorAt,
  gradientRule,
  type Hook,
  Linear,
  type Message,
  mul,
  type NodeRule,
  onEdge,
  ones,
  onValue,
  type Rule,
  type Rules,
  relu,
  setRule,
  slope,
  type Tensor,
  target,
  tensor,
  withRules,
  zeros,
} from '../../src/index.ts';

const leaf = (numbers: Parameters<typeof tensor>[0]): Tensor => tensor(numbers).requiresGrad_();
const wrong = <Wanted>(value: unknown): Wanted => value as Wanted;

const answering = (propagate: NodeRule['propagate']): NodeRule => ({
  ...{ name: 'mine', accepts: 'any', surrogate: true, propagate },
});

describe('a message that somebody is shown', () => {
  /** One tensor goes both ways through an addition. */
  const fork = () => {
    const [a, b] = [leaf([1, 2]), leaf([1, 2])];
    return { a, b, left: mul(a, 1), right: mul(b, 1) };
  };

  it('may not be written by a hook: the other operand of an addition looks at the same numbers', () => {
    const { left, right } = fork();
    const sum = add(left, right);
    onEdge(sum, 0, (message) => {
      message.gradient().mul_(0.1);
    });
    expect(() => sum.backward(tensor([1, 1]))).toThrow(
      /^onEdge of add .*: a hook changed the message in place\. .*message\.scale\(k\)/,
    );
    for (const place of [0, 1]) {
      const { a, left: inner } = fork();
      onValue(place === 0 ? a : inner, (message) => {
        message.gradient().mul_(0.1);
      });
      expect(() => inner.backward(tensor([1, 1]))).toThrow(/^onValue of .*: a hook changed the message in place/);
    }
  });

  it('may not be written by a hook where it is a target either', () => {
    const { a, left } = fork();
    onValue(a, ({ springs }) => {
      springs?.pull.mul_(2);
    });
    const carried = left.reshape([2, 1]);
    expect(() => backward(target(carried, zeros([2, 1]), { precision: 1 }))).not.toThrow();
    const straight = leaf([1, 2]);
    onValue(straight, ({ springs }) => {
      springs?.pull.mul_(2);
    });
    expect(() => backward(target(straight, zeros([2]), { precision: 1 }))).toThrow(/changed the message in place/);
  });

  it('may not be written by a rule', () => {
    const { left, right } = fork();
    const eager = gradientRule('eager', (_, g) => g.mul_(0.1), { surrogate: true });
    const sum = add(setRule(mul(left, 1), eager), right);
    expect(() => sum.backward(tensor([1, 1]))).toThrow(/^eager: at mul .* the rule changed the message in place/);
  });

  it('may be read in place of another: what a hook returns counts, and the other operand keeps its own', () => {
    const { a, b, left, right } = fork();
    const sum = add(left, right);
    onEdge(sum, 0, (message) => slope(message.gradient().mul(0.5)));
    sum.backward(tensor([1, 1]));
    expect([a.grad?.toArray(), b.grad?.toArray()]).toEqual([
      [0.5, 0.5],
      [1, 1],
    ]);
  });
});

describe('a hook', () => {
  it('is a function, and is asked for when it is put there', () => {
    const x = leaf([1]);
    expect(() => onValue(x, wrong<Hook>(3))).toThrow('onValue: a hook is a function of a message, not number.');
    expect(() => onEdge(relu(x), 0, wrong<Hook>(null))).toThrow('onEdge: a hook is a function of a message, not null.');
  });

  it('that returns a tensor is told how to make a message of it', () => {
    const x = leaf([1]);
    onValue(x, (message) => wrong<Message>(message.gradient()));
    expect(() => x.sum().backward()).toThrow(/not a tensor: slope\(tensor\) makes a message of it/);
  });

  it('on the second input of an op that has one is told so', () => {
    expect(() => onEdge(relu(leaf([1])), 1, () => null)).toThrow(
      'onEdge: relu has one input, number 0; there is no number 1.',
    );
  });
});

describe('a target', () => {
  const x = leaf([1, 2]);

  it('is refused with a sentence about the target, whatever is wrong with it', () => {
    expect(() => target(x, wrong<Tensor>([0, 0]))).toThrow(/^target: expected a tensor, not an array/);
    expect(() => target(wrong<Tensor>([0, 0]), x)).toThrow(/^target: expected a tensor, not an array/);
    expect(() => target(x, zeros([2]), wrong(0.5))).toThrow(/^target: options are an object, .* not number/);
    expect(() => target(x, zeros([2]), wrong(ones([2])))).toThrow(/^target: options are an object, .* not a tensor/);
    expect(() => backward(target(x, zeros([3]), { precision: 1 }))).toThrow(
      "backward: a target of shape [3] does not fit an output of shape [2]. Give the output's shape, or what broadcasts to it.",
    );
    const column = mul(leaf([[1], [2]]), 1);
    expect(() => backward(target(column, zeros([2]), { precision: 1 }))).toThrow(
      /a target of shape \[2\] does not fit an output of shape \[2, 1\]/,
    );
    for (const precision of [null, '1'])
      expect(() => backward(target(x, zeros([2]), { precision: wrong<number>(precision) }))).toThrow(
        /^target: a precision is a number or a tensor of at least 0, not (null|string)/,
      );
  });

  it('of a smaller shape counts for every row', () => {
    const rows = leaf([
      [1, 2],
      [3, 4],
    ]);
    backward(target(rows, tensor([1, 2]), { precision: 1 }));
    expect(rows.grad?.toArray()).toEqual([
      [-0, -0],
      [2, 2],
    ]);
  });
});

describe('rules', () => {
  const id = answering(({ message }) => [message]);

  it('are refused where they cannot be rules', () => {
    const layer = new Linear(1, 1);
    for (const [given, kind] of [
      [undefined, 'undefined'],
      [() => id, 'function'],
      [id, 'a rule'],
    ] as const) {
      expect(() => withRules(wrong<Rules>(given), () => 1)).toThrow(
        `withRules: rules are a record by the name of the op, { linear: rule }, not ${kind}.`,
      );
      expect(() => attachRules(layer, wrong<Rules>(given))).toThrow(/^attachRules: rules are a record/);
    }
    expect(() => withRules({ relu: id }, wrong<() => void>(undefined))).toThrow(
      'withRules: the second argument is a function that computes something, not undefined.',
    );
    expect(() => attachRules(layer, { lin: id })).toThrow(/^attachRules: there is no op named lin/);
    expect(() => attachRules(wrong<Linear>(layer.weight), { linear: id })).toThrow(/^attachRules: .* method forward/);
    expect(() => attachRules(layer, wrong<Rules>({ rules: { linear: id }, learnInverses: () => 0 }))).toThrow(
      /no op named rules\. .*pass it, given\.rules/,
    );
    expect(layer.forward).toBe(Linear.prototype.forward);
  });

  it('accept one of three forms of a message', () => {
    const mistyped = { ...id, accepts: 'gradients' };
    expect(() => withRules({ relu: wrong<Rule>(mistyped) }, () => 1)).toThrow(
      /accepts \('gradient', 'target' or 'any'\)/,
    );
    expect(() => setRule(relu(leaf([1])), wrong<Rule>(mistyped))).toThrow(/^setRule: a rule is an object/);
  });

  it('that return something else than a list of messages hear what it was', () => {
    const run = (answer: unknown) => () => {
      const y = setRule(
        relu(leaf([1])),
        answering(() => wrong(answer)),
      );
      y.sum().backward();
    };
    expect(run(undefined)).toThrow(/^mine: at relu .* returned undefined, not a list; the op has 1 input \(x\)/);
    expect(run(slope(tensor([1])))).toThrow(/returned a message, not a list/);
    expect(run([tensor([1])])).toThrow(/the rule sent a tensor to input 0; messages are made by slope and spring/);
    expect(run([undefined])).toThrow(/the rule sent undefined to input 0; .* null is nothing/);
  });

  it('that need a target where a gradient came are named, and the remedy with them', () => {
    const wants = { ...id, name: 'wants', accepts: 'target' } as const;
    const start = (options: Parameters<typeof backward>[1]) => () =>
      backward(setRule(relu(leaf([1])), wants).sum(), options);
    expect(start({})).toThrow(/^wants at relu \(\[1\] to \[1\]\): a gradient arrived .*stiffness: 1 \/ stepSize/);
    expect(start({ stiffness: 1 })).not.toThrow();
  });

  it('read a broadcast that is a tensor', () => {
    const listens = answering((visit) => [slope(visit.broadcast('signal'))]);
    const start = (signal: unknown) => () => {
      const x = leaf([1]);
      backward(setRule(relu(x), listens).sum(), { broadcast: { signal: wrong<Tensor>(signal) } });
      return x.grad?.toArray();
    };
    expect(start(3)).toThrow("the broadcast 'signal': expected a tensor, not number");
    expect(start(tensor([3]))()).toEqual([3]);
    const x = leaf([1]);
    const loss = mul(setRule(relu(x), listens), 5);
    backward(loss.sum(), { broadcast: { signal: errorAt(loss) } });
    expect(x.grad?.toArray()).toEqual([1]);
  });
});
