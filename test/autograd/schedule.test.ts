/**
 * The order of a walk: rules with a learn part hear of settled values, computed weights pass their messages on, blocks answer at
 * once, and values that wait for themselves are an error.
 *
 * `split` is backpropagation in two parts, data first and weights when the data has settled: whatever the graph, it has to give
 * the gradients of the plain walk.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import {
  add,
  type Block,
  type BlockNode,
  type BlockRule,
  backward,
  Conv2d,
  conv2d,
  gradientRule,
  gradients,
  inboxOf,
  linear,
  type Message,
  manualSeed,
  mul,
  type NodeRule,
  onValue,
  parameter,
  type Rules,
  randn,
  relu,
  reshape,
  setRule,
  slope,
  spring,
  sum,
  type Tensor,
  tanh,
  target,
  tensor,
  transpose,
  type Visit,
  withRules,
  zeros,
} from '../../src/index.ts';
import { numbersOf } from '../../src/tensor/tensor.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();
const numbers = (x: Tensor): number[] => Array.from(numbersOf(x));
const nothing = (visit: Visit) => visit.inputs.map(() => null);

/** What happened, in order. */
let events: string[] = [];
beforeEach(() => {
  events = [];
  manualSeed(3);
});

const sending = (visit: Visit, learned: boolean): (Message | null)[] =>
  visit.inputs.map((input, i) => {
    if (!input.wanted || input.learned !== learned) return null;
    const g = visit.gradientFor(i, visit.gradient);
    return g && slope(g);
  });
/** Backpropagation in two parts, which writes down when they happen. */
const split = (name = 'split'): NodeRule => ({
  ...{ name, accepts: 'gradient', surrogate: false },
  propagate(visit) {
    events.push(`${name} propagates`);
    return sending(visit, false);
  },
  learn(visit) {
    events.push(`${name} learns`);
    return sending(visit, true);
  },
});

function expectClose(found: readonly (Tensor | null)[], expected: readonly (Tensor | null)[]): void {
  expect(found.length).toBe(expected.length);
  for (const [k, x] of found.entries()) {
    expect(x === null).toBe(expected[k] === null);
    if (x === null) continue;
    const other = numbers(expected[k]!);
    for (const [i, value] of numbers(x).entries())
      expect(Math.abs(value - other[i]!), `entry ${i} of ${k}`).toBeLessThanOrEqual(1e-5 * (1 + Math.abs(other[i]!)));
  }
}

describe('a rule in two parts gives the gradients of the plain walk', () => {
  /** Compares .grad of the leaves, in a backward and as gradients(), with rules in force and without. */
  function agrees(leaves: readonly Tensor[], loss: () => Tensor): void {
    for (const x of leaves) x.grad = null;
    const plain = gradients(loss(), leaves);
    const ruled = () => withRules({ linear: split(), conv2d: split() }, loss);
    backward(ruled());
    expectClose(
      leaves.map((x) => x.grad),
      plain,
    );
    expect(events.filter((event) => event === 'split learns').length).toBeGreaterThan(0);
    expectClose(gradients(ruled(), leaves), plain);
    expectClose(gradients(ruled(), leaves.slice(0, 1)), plain.slice(0, 1));
  }
  const w = (...shape: number[]) => parameter(randn(shape));

  it('of a chain with biases, data that wants messages, and a convolution', () => {
    const [a, b, c, d, x] = [w(4, 8), w(4), w(2, 4), w(2), w(5, 8)];
    agrees([a, b, c, d, x], () => sum(linear(tanh(linear(x, a, b)), c, d).square()));
    const [filter, bias, image] = [w(2, 1, 3, 3), w(2), w(2, 1, 4, 4)];
    agrees([filter, bias, image], () => sum(conv2d(image, filter, bias).square()));
    expect(new Conv2d(1, 2, 3).forward(image).requiresGrad).toBe(true);
  });

  it('of a weight that is the transpose of another', () => {
    const [a, x] = [w(4, 3), w(5, 3)];
    agrees([a, x], () => sum(linear(tanh(linear(x, a)), transpose(a)).square()));
  });

  it('of a weight that is masked, or normed', () => {
    const [a, x] = [w(4, 3), randn([5, 3])];
    const mask = tensor([1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0], [4, 3]);
    agrees([a], () => sum(linear(x, mul(a, mask)).square()));
    agrees([a], () => sum(linear(x, a.div(a.square().sum(1, true).sqrt())).square()));
  });

  it('of a weight that another network computes', () => {
    const [hyper, z, x] = [w(12, 2), w(1, 2), w(5, 3)];
    agrees([hyper, z, x], () => sum(linear(x, reshape(linear(z, hyper), [4, 3])).square()));
  });

  it('of a weight that is used three times', () => {
    const [a, x] = [w(3, 3), w(2, 3)];
    agrees([a, x], () => sum(linear(tanh(linear(tanh(linear(x, a)), a)), a).square()));
  });

  it('of a value in between, as gradients() asks for it', () => {
    const [a, x] = [w(3, 3), w(2, 3)];
    const ask = (rules: Rules) => {
      const hidden = tanh(linear(x, a));
      return gradients(
        withRules(rules, () => sum(linear(hidden, a).square())),
        [hidden, a],
      );
    };
    expectClose(ask({ linear: split() }), ask({}));
  });

  it('of a value with several consumers, some of which learn', () => {
    const [a, b, c, x] = [w(3, 3), w(3, 3), w(3, 3), w(2, 3)];
    agrees([a, b, c, x], () => {
      const h = linear(x, a);
      return sum(add(add(linear(h, b), linear(h, c)), h).square());
    });
  });
});

describe('learning', () => {
  it('comes when the data has settled, all consumers having spoken; propagation goes on meanwhile', () => {
    const [x, a, b, c] = [leaf([[1, 2]]), parameter(randn([2, 2])), parameter(randn([2, 2])), parameter(randn([2, 2]))];
    const first = setRule(linear(x, a), split('first'));
    const left = setRule(linear(first, b), split('left'));
    const right = setRule(linear(first, c), split('right'));
    sum(add(left, right)).backward();
    expect(events.filter((event) => event.endsWith('propagates'))).toEqual([
      'right propagates',
      'left propagates',
      'first propagates',
    ]);
    const at = (event: string) => events.indexOf(event);
    // What reads `first` learns when both have spoken about it; `first` learns when x has heard of it.
    expect(at('left learns')).toBeGreaterThan(at('right propagates'));
    expect(at('right learns')).toBeGreaterThan(at('left propagates'));
    expect(at('first learns')).toBeGreaterThan(at('first propagates'));
    expect(events).toHaveLength(6);
  });

  it('of a node comes after its propagation, also where the data is constant', () => {
    backward(sum(setRule(linear(tensor([[1, 2]]), parameter(randn([2, 2]))), split())));
    expect(events).toEqual(['split propagates', 'split learns']);
  });

  it('is handed where all consumers together want the data, made feasible', () => {
    const x = tensor([[1, -1, 2]]);
    const hidden = relu(mul(x, leaf([[1, 1, 1]])));
    const found: unknown[] = [];
    const wishing = (d: number[], p: number): NodeRule => ({
      ...{ name: 'wishing', accepts: 'any', surrogate: true },
      propagate: () => [spring(tensor([d]), p), null],
      learn(visit) {
        found.push(visit.inputs[0]!.settled().toArray());
        expect(() => visit.inputs[1]!.settled()).toThrow(/settled: a value settles/);
        return [null, null];
      },
    });
    const one = setRule(linear(hidden, parameter(zeros([1, 3]))), wishing([4, 2, -8], 1));
    const two = setRule(linear(hidden, parameter(zeros([1, 3]))), wishing([0, 6, -8], 3));
    backward(sum(add(one, two)));
    // Means with weights 1 and 3: [1, 5, -8] from [1, 0, 2], and relu gives nothing below 0.
    expect(found).toEqual([[[2, 5, 0]], [[2, 5, 0]]]);
  });

  it('hears of a settled value under a stiffness, as gradients pull', () => {
    const found: unknown[] = [];
    const x = leaf([[1, 2]]);
    const rule: NodeRule = {
      ...split(),
      learn(visit) {
        found.push(visit.inputs[0]!.settled(4).toArray());
        expect(() => visit.inputs[0]!.settled()).toThrow(/Give a step size/);
        return [null, null];
      },
    };
    backward(sum(setRule(linear(x, parameter(tensor([[8, 4]]))), rule)));
    expect(found).toEqual([[[-1, 1]]]);
  });

  it('of data without messages, or without a history, hears of it where it is', () => {
    const found: unknown[] = [];
    const still: NodeRule = {
      ...{ name: 'still', accepts: 'any', surrogate: true, propagate: nothing },
      learn(visit) {
        found.push(visit.inputs[0]!.settled().toArray());
        return nothing(visit);
      },
    };
    for (const x of [tensor([[1, 2]]), leaf([[1, 2]]), relu(leaf([[1, 2]]))])
      backward(sum(setRule(linear(x, parameter(zeros([1, 2]))), still)));
    expect(found).toEqual([[[1, 2]], [[1, 2]], [[1, 2]]]);
  });

  it('counts what this walk says of a leaf, not what lay there before; then both add up', () => {
    const found: unknown[] = [];
    const x = leaf([[1, 2]]);
    const w = parameter(tensor([[3, 5]]));
    const rule: NodeRule = {
      ...split(),
      learn(visit) {
        found.push(visit.inputs[0]!.settled(1).toArray());
        return sending(visit, true);
      },
    };
    for (let walk = 1; walk <= 3; walk++) {
      backward(sum(setRule(linear(x, w), rule)));
      expect(x.grad!.toArray()).toEqual([[3 * walk, 5 * walk]]);
      expect(w.grad!.toArray()).toEqual([[walk, 2 * walk]]);
    }
    expect(found).toEqual([[[-2, -3]], [[-2, -3]], [[-2, -3]]]);
  });

  it('and hooks on such a leaf see its sum once', () => {
    const x = leaf([[1, 2]]);
    const seen: unknown[] = [];
    onValue(x, (message) => void seen.push(message.gradient().toArray()));
    const w = parameter(tensor([[3, 5]]));
    backward(sum(add(setRule(linear(x, w), split()), setRule(linear(x, w), split()))));
    expect(seen).toEqual([[[6, 10]]]);
    expect(x.grad!.toArray()).toEqual([[6, 10]]);
  });

  it('a parameter that is used k times gets k messages', () => {
    const w = parameter(tensor([[2]]));
    const wish: NodeRule = {
      ...{ name: 'wish', accepts: 'any', surrogate: true },
      propagate: (visit) => [slope(visit.inputs[0]!.value), null],
      learn: () => [null, spring(tensor([[1]]), 2)],
    };
    let y: Tensor = leaf([[1]]);
    for (let k = 0; k < 5; k++) y = setRule(linear(y, w), wish);
    backward(y);
    expect(inboxOf(w)!.precision().item()).toBe(10);
    expect(inboxOf(w)!.step().toArray()).toEqual([[1]]);
  });

  it('nobody is called where nothing arrived', () => {
    const silent: NodeRule = { name: 'silent', accepts: 'any', surrogate: true, propagate: nothing };
    const called: NodeRule = {
      ...silent,
      propagate: () => expect.unreachable('propagate'),
      learn: () => expect.unreachable('learn'),
    };
    const block: BlockRule = { name: 'block', surrogate: true, settle: () => expect.unreachable('settle') };
    const x = leaf([[1, 2]]);
    const [a, b] = [parameter(zeros([2, 2])), parameter(zeros([2, 2]))];
    const deep = setRule(linear(setRule(linear(relu(x), a), called), b), called);
    backward(sum(setRule(tanh(setRule(relu(deep), block)), silent)));
    expect([x.grad, a.grad, b.grad]).toEqual([null, null, null]);
  });
});

describe('several roots', () => {
  it('are one walk: every rule answers once, to the sum', () => {
    const [x, a] = [leaf([[1, 2]]), parameter(randn([2, 2]))];
    const y = setRule(linear(x, a), split());
    const hidden = tanh(y);
    backward([sum(y), sum(hidden), target(hidden, zeros([1, 2]), { precision: 2 })]);
    expect(events).toEqual(['split propagates', 'split learns']);
    const z = linear(x, a);
    const whole = add(add(sum(z), sum(tanh(z))), sum(tanh(z).square()));
    const together = [x.grad, a.grad];
    expectClose(together, gradients(whole, [x, a]));
  });

  it('one below the other, in any order', () => {
    const x = leaf([[1, 2]]);
    const a = parameter(randn([2, 2]));
    for (const turned of [false, true]) {
      events = [];
      const y = setRule(linear(x, a), split('below'));
      const z = setRule(linear(y, a), split('above'));
      const roots = [sum(z), sum(y)];
      backward(turned ? roots.toReversed() : roots);
      expect(events.filter((event) => event.endsWith('propagates'))).toEqual(['above propagates', 'below propagates']);
    }
  });
});

describe('a value that waits for itself', () => {
  it('is an error that names the rule that learns and the value that it waits for', () => {
    const x = leaf([[1, 2]]);
    const above = (y: Tensor) => sum(tanh(tanh(y)).square());
    // The weight is computed from the data that it is to be learned on.
    const weight = reshape(mul(x, 2), [1, 2]);
    const y = setRule(linear(x, weight), split());
    expect(() => backward(above(y))).toThrow(
      /a value waits for itself\. linear \(\[1, 2\], \[1, 2\] to \[1, 1\]\) learns only when all has been said about the leaf of shape \[1, 2\], which waits for what linear .* detach\(\)/,
    );
    expect(x.grad).toBeNull();
    const inside = relu(mul(x, leaf([[1, 1]])));
    const z = setRule(linear(inside, reshape(tanh(inside), [1, 2])), split());
    expect(() => backward(above(z))).toThrow(
      /linear .* learns only when all has been said about relu \(\[1, 2\] to \[1, 2\]\)/,
    );
  });

  it('is found behind other rules that wait in vain', () => {
    const [x, a] = [leaf([[1, 2]]), parameter(randn([2, 2]))];
    const below = setRule(linear(x, a), split('below'));
    const y = setRule(linear(below, reshape(tanh(below), [1, 2])), split('knot'));
    expect(() => backward(sum(y))).toThrow(
      /linear \(\[1, 2\], \[1, 2\] to \[1, 1\]\) learns only when all has been said about linear \(\[1, 2\], \[2, 2\] to \[1, 2\]\)/,
    );
  });

  it('is not blamed on a rule that only waits for it', () => {
    const [y, w] = [tanh(leaf([[1, 2]])), transpose(parameter(randn([2, 2])))];
    const waiting = setRule(linear(y, w), split());
    const hidden = tanh(y);
    const knot = setRule(linear(hidden, reshape(tanh(hidden), [1, 2])), split());
    expect(() => backward([sum(w), sum(waiting), sum(knot)])).toThrow(
      /linear \(\[1, 2\], \[1, 2\] to \[1, 1\]\) learns only when all has been said about tanh/,
    );
  });

  it('is none with the gradient rule, or when what it reads is detached', () => {
    const x = leaf([[1, 2]]);
    backward(sum(linear(x, reshape(mul(x, 2), [1, 2]))));
    expect(numbers(x.grad!)).toEqual([4, 8]);
    backward(sum(setRule(linear(x, reshape(mul(x.detach(), leaf([[2, 2]])), [1, 2])), split())));
    expect(events).toEqual(['split propagates', 'split learns']);
  });

  it('leaves the inboxes of leaves as they were before', () => {
    const x = leaf([[1, 2]]);
    x.grad = tensor([[5, 6]]);
    expect(() => backward(sum(setRule(linear(x, reshape(mul(x, 2), [1, 2])), split())))).toThrow(/waits for itself/);
    expect(x.grad!.toArray()).toEqual([[5, 6]]);
  });

  it('also through a block that is left and entered again', () => {
    const x = leaf([[1, 2]]);
    const block: BlockRule = { name: 'pc', surrogate: true, settle: () => undefined };
    const y = setRule(mul(x, 2), block);
    const z = setRule(mul(relu(tanh(y)), 3), block);
    expect(() => backward(sum(z))).toThrow(
      /The block of the rule pc settles only when all has been said about mul .*, which waits for what the block sends\. Give what lies/,
    );
    expect(() => backward(sum(setRule(mul(setRule(mul(x, 2), block), 3), block)))).not.toThrow();
  });
});

describe('a block', () => {
  /** Backpropagation inside a block: what arrives from outside goes down to what leaves it. */
  const backprop = (seen: Block[] = []): BlockRule => ({
    ...{ name: 'backprop', surrogate: false },
    settle(block) {
      seen.push(block);
      const errors = new Map<BlockNode, Tensor>();
      for (const node of block.nodes.toReversed()) {
        const inside = errors.get(node);
        const outside = node.message?.gradient();
        const g = inside === undefined ? outside : outside === undefined ? inside : add(inside, outside);
        if (g === undefined) continue;
        for (const [i, source] of node.sources.entries()) {
          const sent = node.gradientFor(node.evaluation, i, g);
          if (sent === null) continue;
          if (source !== null) {
            const before = errors.get(source);
            errors.set(source, before === undefined ? sent : add(before, sent));
          } else if (block.wanted(node, i)) block.send(node, i, slope(sent));
        }
      }
    },
  });

  it('answers once for all its nodes, and can do what the plain walk does', () => {
    const [x, a, b] = [
      leaf([
        [1, 2],
        [3, -1],
      ]),
      parameter(randn([3, 2])),
      parameter(randn([2, 3])),
    ];
    const inner = (y: Tensor) => linear(tanh(linear(y, a)), b);
    const loss = (compute: (y: Tensor) => Tensor) => {
      const hidden = compute(mul(x, 2));
      return add(sum(hidden.square()), sum(relu(hidden)));
    };
    const seen: Block[] = [];
    const rule = backprop(seen);
    const plain = gradients(loss(inner), [x, a, b]);
    backward(loss((y) => withRules({ '*': rule }, () => inner(y))));
    expect(seen).toHaveLength(1);
    expectClose([x.grad, a.grad, b.grad], plain);
    expectClose(
      gradients(
        loss((y) => withRules({ '*': rule }, () => inner(y))),
        [x, a, b],
      ),
      plain,
    );
  });

  it('has its nodes inputs first, knows where they come from, and what came from outside', () => {
    const seen: Block[] = [];
    const rule = backprop(seen);
    const [x, a, b] = [leaf([[1, 2]]), parameter(randn([3, 2])), parameter(randn([2, 3]))];
    const [first, middle, last] = withRules({ '*': rule }, () => {
      const y = linear(x, a);
      const h = tanh(y);
      return [y, h, linear(h, b)] as const;
    });
    backward([sum(last), target(middle, zeros([1, 3]), { precision: 1 })], { stiffness: 3 });
    const [block] = seen;
    expect(block!.stiffness).toBe(3);
    expect(block!.nodes.map(({ op }) => op)).toEqual(['linear', 'tanh', 'linear']);
    expect(block!.nodes.map(({ evaluation }) => evaluation.output)).toEqual([first, middle, last]);
    const [one, two, three] = block!.nodes;
    expect([one!.sources, two!.sources, three!.sources]).toEqual([[null, null], [one], [two, null]]);
    expect([one!.learned, two!.learned]).toEqual([[false, true], [false]]);
    expect([one!.message, two!.message!.kind, three!.message!.kind]).toEqual([null, 'target', 'gradient']);
    expect([block!.wanted(one!, 0), block!.wanted(one!, 1), block!.wanted(two!, 0)]).toEqual([true, true, false]);
  });

  it('evaluates its nodes at other values, unrecorded', () => {
    const x = leaf([1, 2]);
    const found: unknown[] = [];
    const rule: BlockRule = {
      ...{ name: 'anew', surrogate: true },
      settle({ nodes: [node] }) {
        const at = node!.evaluate([tensor([3, -4])]);
        expect(at.output.requiresGrad).toBe(false);
        found.push(at.output.toArray(), node!.gradientFor(at, 0, tensor([1, 1]))!.toArray());
      },
    };
    backward(sum(setRule(relu(x), rule)));
    expect(found).toEqual([
      [3, 0],
      [1, 0],
    ]);
  });

  it('reads broadcasts, and sends only out of itself', () => {
    const x = leaf([1, 2]);
    const rule: BlockRule = {
      ...{ name: 'inward', surrogate: true },
      settle(block) {
        const [first, last] = block.nodes;
        block.send(first!, 0, spring(block.broadcast('label'), 2));
        expect(() => block.send(last!, 0, slope(tensor([1, 1])))).toThrow(
          /block: input 0 of tanh is computed inside the block; messages go out of it/,
        );
        expect(() => block.broadcast('other')).toThrow(/relu .*reads the broadcast 'other'/);
      },
    };
    backward(sum(withRules({ '*': rule }, () => tanh(relu(x)))), { broadcast: { label: tensor([7, 8]) } });
    expect(inboxOf(x)!.step().toArray()).toEqual([7, 8]);
  });

  it('waits for all who speak to its nodes, and those below wait for it', () => {
    const seen: Block[] = [];
    const rule = backprop(seen);
    const [x, a] = [leaf([[1, 2]]), parameter(randn([2, 2]))];
    const below = setRule(linear(x, a), split('below'));
    const inside = setRule(tanh(below), rule);
    const above = setRule(linear(inside, a), split('above'));
    backward(add(sum(above), sum(inside)));
    expect(events).toEqual(
      ['above propagates', 'below propagates', 'below learns', 'above learns'].sort((p, q) => order(p) - order(q)),
    );
    const y = tanh(linear(x, a));
    expectClose([x.grad, a.grad], gradients(add(sum(linear(y, a)), sum(y)), [x, a]));
  });

  it('next to another is another; the same rule in two places is one', () => {
    const seen: Block[] = [];
    const [one, two] = [backprop(seen), backprop(seen)];
    const x = leaf([[1, 2]]);
    backward(sum(setRule(tanh(setRule(relu(x), one)), two)));
    expect(seen.map(({ nodes }) => nodes.map(({ op }) => op))).toEqual([['tanh'], ['relu']]);
    seen.length = 0;
    backward(sum(add(setRule(tanh(x), one), setRule(relu(x), one))));
    expect(seen.map(({ nodes }) => nodes.map(({ op }) => op))).toEqual([['tanh', 'relu']]);
  });
});

/** Where an event stands when the block answers between the two layers. */
const order = (event: string): number =>
  ['above propagates', 'above learns', 'below propagates', 'below learns'].indexOf(event);

describe('rules without a learn part', () => {
  it('keep the plain order beside those that have one', () => {
    const names: string[] = [];
    const noting = (name: string) =>
      gradientRule(
        name,
        (visit, g, i) => {
          if (i === 0) names.push(name);
          return visit.gradientFor(i, g);
        },
        { surrogate: false },
      );
    const [x, a] = [leaf([[1, 2]]), parameter(randn([2, 2]))];
    const build = (learner: NodeRule | null) => {
      const y = setRule(tanh(x), noting('a'));
      const z = setRule(relu(setRule(linear(y, a), learner)), noting('b'));
      return [
        sum(add(setRule(mul(z, 1), noting('c')), setRule(mul(y, 1), noting('d')))),
        setRule(relu(x), noting('e')).sum(),
      ];
    };
    backward(build(null));
    const plain = names.splice(0);
    backward(build(split()));
    expect(names).toEqual(plain);
  });
});
