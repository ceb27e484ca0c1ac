/**
 * Gradients of one's own: they are ops like any other, what they save has a history where one is asked for, and what is
 * wrong is said in a sentence.
 */
import { describe, expect, it } from 'vitest';
import { customGradient } from '../../src/autograd/custom.ts';
import {
  attachRules,
  type BlockRule,
  backward,
  checkGradients,
  exp,
  grad,
  gradientRule,
  gradients,
  Linear,
  manualSeed,
  memoryInUse,
  mul,
  noGrad,
  onEdge,
  parameter,
  randn,
  registeredOps,
  Sequential,
  SGD,
  slope,
  square,
  type Tensor,
  tensor,
  type Visit,
  withRules,
} from '../../src/index.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();

/** Lets the collector find what nobody holds: weak references hold until the job is over. */
async function settled(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    (globalThis.gc as () => void)();
  }
}

/** x^3, with x^2 saved: a value that is neither input nor output. */
const cube = customGradient({
  name: 'cube of mine',
  surrogate: false,
  forward([x], save) {
    const squared = square(x);
    save(squared);
    return squared.mul(x);
  },
  gradient: ({ saved: [squared] }, g) => g.mul(squared!).mul(3),
});

/** exp(x), with its output saved. */
const growth = customGradient({
  name: 'growth',
  surrogate: false,
  forward([x], save) {
    const y = exp(x);
    save(y);
    return y;
  },
  gradient: ({ saved: [y] }, g) => g.mul(y!),
});

/** a b, elementwise and broadcast; both inputs saved. */
const product = customGradient<[Tensor, Tensor]>({
  name: 'product',
  surrogate: false,
  forward([a, b], save) {
    save(a, b);
    return a.mul(b);
  },
  gradient: ({ inputs: [, b], saved: [a] }, g) => [g.mul(b).sum(1, true), g.mul(a!).sum(0, true)],
});

/** x, with twice its gradient. */
const doubled = customGradient({
  name: 'doubled',
  surrogate: true,
  forward: ([x]) => x.clone(),
  gradient: (_, g) => g.mul(2),
});

describe('a gradient of one’s own', () => {
  it('is what backward sends', () => {
    const x = leaf([1, -2, 3]);
    const y = cube(x);
    expect(y.toArray()).toEqual([1, -8, 27]);
    y.sum().backward();
    expect(x.grad!.toArray()).toEqual([3, 12, 27]);
  });

  it('passes the check of first and second derivatives, whatever it saved', () => {
    checkGradients(cube, [tensor([0.5, -2])]);
    checkGradients(growth, [tensor([0.5, -1])]);
    checkGradients(product, [tensor([[1], [2]]), tensor([[0.5, 3, -1]])]);
  });

  it('is found out where it is wrong', () => {
    const wrong = customGradient({
      name: 'wrong',
      surrogate: false,
      forward: ([x]) => square(x),
      gradient: ({ inputs: [x] }, g) => g.mul(x),
    });
    expect(() => checkGradients(wrong, [tensor([0.5])])).toThrow(/gradient of entry 0/);
  });

  it('is found out where it is right at first order only', () => {
    const flat = customGradient({
      name: 'flat',
      surrogate: false,
      forward: ([x]) => square(x),
      gradient: ({ inputs: [x] }, g) => g.mul(x.detach()).mul(2),
    });
    checkGradients(flat, [tensor([0.5])], { order: 1 });
    expect(() => checkGradients(flat, [tensor([0.5])])).toThrow(/second derivative/);
  });

  it('has derivatives of every order, through what it saved in between', () => {
    const third = grad((x: Tensor) => grad((y: Tensor) => grad((z: Tensor) => cube(z).sum())(y).sum())(x).sum());
    expect(third(tensor([2, 5])).toArray()).toEqual([6, 6]);
  });

  it('nests: forward and gradient may use other customGradients', () => {
    const sixth = customGradient({
      name: 'sixth power',
      surrogate: false,
      forward: ([x]) => square(cube(x)),
      gradient: ({ inputs: [x] }, g) => g.mul(cube(x)).mul(square(x)).mul(6),
    });
    checkGradients(sixth, [tensor([0.7, -1.2])]);
    checkGradients((x) => cube(growth(cube(x))), [tensor([0.4, -0.9])]);
  });

  it('takes numbers as operands', () => {
    const x = leaf([[1], [2]]);
    product(x, 3).sum().backward();
    expect(x.grad!.toArray()).toEqual([[3], [3]]);
  });

  it('sends nothing where it says null', () => {
    const [a, b] = [leaf([1, 2]), leaf([3, 4])];
    customGradient<[Tensor, Tensor]>({
      name: 'first only',
      surrogate: true,
      forward: ([x, y]) => x.mul(y),
      gradient: ({ inputs: [, y] }, g) => [g.mul(y), null],
    })(a, b)
      .sum()
      .backward();
    expect(a.grad!.toArray()).toEqual([3, 4]);
    expect(b.grad).toBeNull();
  });

  it('is asked once a visit, however many inputs there are', () => {
    let asked = 0;
    const counted = customGradient<[Tensor, Tensor, Tensor]>({
      name: 'counted',
      surrogate: false,
      forward: ([a, b, c]) => a.add(b).add(c),
      gradient(_, g) {
        asked++;
        return [g, g, g];
      },
    });
    const [a, b] = [leaf(1), leaf(2)];
    const y = counted(a, b, 3);
    y.backward();
    expect(asked).toBe(1);
    // The same graph once more, and the same constant 1 to start with: what was answered before is not used again.
    y.backward();
    expect(asked).toBe(2);
    expect([a.grad!.item(), b.grad!.item()]).toEqual([2, 2]);
  });

  it('answers anew a rule that asks for one input only, each walk and each gradient', () => {
    const summed = customGradient<[Tensor, Tensor]>({
      name: 'summed',
      surrogate: false,
      forward: ([a, b]) => a.mul(b).sum(),
      gradient: ({ inputs: [a, b] }, g) => [b.mul(g), a.mul(g)],
    });
    const answers: [number, (visit: Visit, g: Tensor) => Tensor][] = [
      [1, (visit, g) => visit.gradientFor(0, g) as Tensor],
      [3, (visit, g) => visit.gradientFor(0, g.mul(2))!.add(visit.gradientFor(0, g) as Tensor)],
    ];
    for (const [times, asked] of answers) {
      const [a, b] = [parameter(randn([100, 100])), parameter(randn([100, 100]))];
      const rule = gradientRule('first only', (visit, g, i) => (i === 0 ? asked(visit, g) : null), { surrogate: true });
      const y = withRules({ '*': rule }, () => summed(a, b));
      // Closes the graph's region: from here on what one walk computes is given back by the next, and an old answer could not
      // be read any more.
      a.square().sum().backward();
      a.grad = null;
      for (let i = 0; i < 4; i++) y.backward();
      expect((a.grad as unknown as Tensor).toFloat32Array()[7]).toBeCloseTo(4 * times * b.toFloat32Array()[7]!, 4);
    }
  });

  it('goes by its own rule through a saved output, and does not run again for it', () => {
    let runs = 0;
    const steep = (between: boolean) =>
      customGradient({
        name: 'steep',
        surrogate: true,
        forward([x], save) {
          runs++;
          const y = x.mul(3);
          save(y);
          if (between) save(x.mul(5));
          return y;
        },
        gradient: ({ saved: [y] }, g) => g.mul(y!),
      });
    for (const between of [false, true]) {
      runs = 0;
      const x = leaf([2]);
      const options = { createGraph: true, allowSurrogate: true };
      const [first] = gradients(steep(between)(x), [x], options);
      const [second] = gradients(first!, [x], options);
      // By the rule dy/dx is y = 3 x, so the derivative of that is 3 x again.
      expect([first!.item(), second!.item()]).toEqual([6, 6]);
      expect(runs > 1).toBe(between);
    }
  });

  it('records nothing, and keeps nothing, in noGrad and of constants', () => {
    const w = leaf([2]);
    expect(noGrad(() => cube(w)).requiresGrad).toBe(false);
    expect(cube(tensor([2])).requiresGrad).toBe(false);
    expect(cube(tensor([2])).toArray()).toEqual([8]);
  });

  it('is in no registry, and several may share a name', () => {
    expect(registeredOps().has('cube of mine')).toBe(false);
    customGradient({ name: 'cube of mine', surrogate: true, forward: ([x]) => x.clone(), gradient: (_, g) => g });
  });

  it('is an op to rules and hooks', () => {
    const x = leaf([2]);
    const silent = gradientRule('silent', () => null, { surrogate: true });
    withRules({ '*': silent }, () => cube(x))
      .sum()
      .backward();
    expect(x.grad).toBeNull();
    const y = cube(x);
    const seen: unknown[] = [];
    onEdge(y, 0, (message) => void seen.push(message.gradient().toArray()));
    y.sum().backward();
    expect(seen).toEqual([[12]]);
    const sum = new Sequential(new Linear(2, 1));
    attachRules(sum, { linear: null });
    expect(sum.forward(cube(tensor([[1, 2]]))).shape).toEqual([1, 1]);
  });
});

describe('in a block', () => {
  it('is evaluated anew, and what that saves does not mix with what the call saved', () => {
    const twice: BlockRule = {
      name: 'at twice the value',
      surrogate: true,
      settle(block) {
        for (const node of block.nodes) {
          const [x] = node.evaluation.inputs as [Tensor];
          const g = node.message!.gradient();
          const there = node.gradientFor(node.evaluate([x.mul(2)]), 0, g) as Tensor;
          const here = node.gradientFor(node.evaluation, 0, g) as Tensor;
          block.send(node, 0, slope(there.add(here.mul(1000))));
        }
      },
    };
    const x = leaf([1, 2]);
    withRules({ '*': twice }, () => cube(x)).backward(tensor([1, 1]));
    expect(x.grad!.toArray()).toEqual([3012, 12_048]);
  });
});

describe('surrogates', () => {
  it('work in a plain backward', () => {
    const x = leaf([1, 2]);
    doubled(x).sum().backward();
    expect(x.grad!.toArray()).toEqual([2, 2]);
  });

  it('are refused by name in checks and in derivatives of derivatives', () => {
    const x = leaf([1]);
    expect(() => checkGradients(doubled, [tensor([1])])).toThrow(/doubled.*surrogate.*allowSurrogate/s);
    expect(() => gradients(square(doubled(x)).sum(), [x], { createGraph: true })).toThrow(/doubled.*surrogate/s);
  });

  it('take part where they are allowed to', () => {
    const x = leaf([3]);
    const [dx] = gradients(square(doubled(x)).sum(), [x], { createGraph: true, allowSurrogate: true });
    expect(dx!.toArray()).toEqual([12]);
    backward(dx!.sum(), { createGraph: true, allowSurrogate: true });
    expect(x.grad!.toArray()).toEqual([8]);
    // A surrogate that happens to be the derivative.
    const honest = customGradient({
      name: 'honest',
      surrogate: true,
      forward: ([y]) => y.clone(),
      gradient: (_, g) => g,
    });
    checkGradients(honest, [tensor([1, 2])], { allowSurrogate: true });
  });
});

describe('memory', () => {
  it('2,000 steps with saved tensors hold the memory of two', () => {
    manualSeed(3);
    const halved = customGradient<[Tensor, Tensor]>({
      name: 'halved',
      surrogate: false,
      forward([x, w], save) {
        const [a, b] = [x.matmul(w), x.mul(0.5)];
        save(a, b);
        return square(a).mul(0.5);
      },
      gradient: ({ inputs: [x, w], saved: [a, b] }, g) => {
        const ga = g.mul(a!);
        return [ga.matmul(w.transpose(0, 1)), b!.add(x.mul(0.5)).transpose(0, 1).matmul(ga)];
      },
    });
    const w = parameter(randn([32, 32]).mul(0.1));
    const optimizer = new SGD([w], { lr: 0.001 });
    const x = randn([16, 32]);
    const step = (): void => {
      const loss = halved(mul(x, 1), w).mean();
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    };
    for (let i = 0; i < 100; i++) step();
    const before = memoryInUse();
    for (let i = 0; i < 2000; i++) step();
    expect(memoryInUse()).toBeLessThanOrEqual(before + 2 ** 20);
  });

  it('what was saved lives as long as the graph: walks of other losses and of the same one in between', () => {
    const w = parameter(randn([40, 40]));
    const y = cube(w);
    const first = y.sum();
    const second = y.mul(2).sum();
    first.backward();
    const expected = square(w).mul(9).toFloat32Array();
    second.backward();
    expect(w.grad!.toFloat32Array().every((g, i) => Math.abs(g - expected[i]!) <= 1e-5 * Math.abs(expected[i]!))).toBe(
      true,
    );
  });

  it('what was saved elsewhere is kept while the graph is walked', () => {
    const w = parameter(randn([40, 40]));
    // Its region is older than the graph's, and no input of the graph lies in it.
    const mask = randn([40, 40]).mul(2);
    parameter(randn([100, 100]))
      .sum()
      .backward();
    const masked = customGradient({
      name: 'masked',
      surrogate: false,
      forward([x], save) {
        save(mask);
        return x.mul(mask);
      },
      gradient: ({ saved: [m] }, g) => g.mul(m!),
    });
    const y = masked(w).sum();
    y.backward();
    y.backward();
    y.backward();
    expect(w.grad!.toFloat32Array()[0]).toBeCloseTo(3 * mask.toFloat32Array()[0]!, 4);
  });

  it('a loss that is kept keeps neither what was saved nor what was answered', async () => {
    const w = parameter(randn([100, 100]));
    const saved: WeakRef<Tensor>[] = [];
    const scaled = customGradient<[Tensor, Tensor]>({
      name: 'scaled',
      surrogate: false,
      forward([x, y], save) {
        const factor = tensor(new Float32Array(10_000).fill(2), [100, 100]);
        saved.push(new WeakRef(factor));
        save(factor);
        return x.mul(factor).mul(y).sum();
      },
      gradient({ inputs: [x, y], saved: [factor] }, g) {
        const sent = y.mul(factor!).mul(g).detach();
        saved.push(new WeakRef(sent));
        return [sent, x.mul(factor!).mul(g)];
      },
    });
    const half = gradientRule('half', (visit, g, i) => (i === 0 ? visit.gradientFor(0, g) : null), { surrogate: true });
    const losses = [0, 1].map((i) => {
      const loss = i === 0 ? scaled(w, w.mul(2)) : withRules({ '*': half }, () => scaled(w, w.mul(2)));
      loss.backward();
      w.grad = null;
      return loss;
    });
    for (let i = 0; i < 4; i++) w.square().sum().backward();
    w.grad = null;
    await settled();
    expect(saved.map((reference) => reference.deref())).toEqual([undefined, undefined, undefined, undefined]);
    expect(losses[0]!.item()).toBe(losses[1]!.item());
    expect(() => losses[0]!.backward()).toThrow(/graph of this result \(made by scaled\) was given back/);
  });
});
