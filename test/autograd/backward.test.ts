/**
 * The backward walk and the transforms built on it: which graphs it serves, what it refuses and in which words, and that
 * it leaves nothing behind.
 */
import { describe, expect, it, vi } from 'vitest';
import {
  add,
  checkGradients,
  createContext,
  crossEntropy,
  defineOp,
  type GradientRule,
  grad,
  gradients,
  Linear,
  linear,
  manualSeed,
  memoryInUse,
  noGrad,
  parameter,
  ReLU,
  randn,
  Sequential,
  SGD,
  scope,
  setMemoryLimit,
  type Tensor,
  tanh,
  tensor,
  valueAndGrad,
  zeros,
} from '../../src/index.ts';

const leaf = (data: Parameters<typeof tensor>[0]): Tensor => tensor(data).requiresGrad_();
const at = (x: Tensor | null): unknown => x!.toArray();

/** Central difference of a function of one number, in double precision. */
const slopeOf = (f: (x: number) => number, x: number, h = 1e-5): number => (f(x + h) - f(x - h)) / (2 * h);

describe('graphs', () => {
  it('diamonds: paths add up', () => {
    const x = leaf(3);
    const [left, right] = [x.mul(2), x.square()];
    left.mul(right).add(left).backward(); // 2 x^3 + 2 x
    expect(x.grad!.item()).toBe(6 * 9 + 2);
  });

  it('diamonds of diamonds: 2^30 paths, walked once', () => {
    const x = leaf(1);
    let y: Tensor = x;
    for (let i = 0; i < 30; i++) y = y.add(y);
    y.backward();
    expect(x.grad!.item()).toBe(2 ** 30);
  });

  it('a value used k times gets k messages', () => {
    const x = leaf([1, 2, 3]);
    const shared = x.mul(2);
    let sum: Tensor = shared.sum();
    for (let k = 1; k < 10; k++) sum = sum.add(shared.mul(k).sum());
    sum.backward();
    expect(at(x.grad)).toEqual([92, 92, 92]);
  });

  it('one tensor as both operands', () => {
    const x = leaf([2, 3]);
    x.mul(x).sum().backward();
    expect(at(x.grad)).toEqual([4, 6]);
    const m = leaf([
      [1, 2],
      [3, 4],
    ]);
    m.matmul(m).sum().backward();
    expect(at(m.grad)).toEqual([
      [7, 11],
      [9, 13],
    ]);
  });

  it('chains of 50,000 ops: nothing is walked by recursion', () => {
    const x = leaf(1);
    let y: Tensor = x;
    for (let i = 0; i < 50_000; i++) y = i % 2 === 0 ? y.add(1) : y.neg();
    y.backward();
    expect(x.grad!.item()).toBe(1);
  });

  it('chains of 2,000 ops, differentiated twice', () => {
    const x = leaf(0.5);
    let y: Tensor = x.square();
    for (let i = 0; i < 2000; i++) y = y.mul(1);
    const [first] = gradients(y, [x], { createGraph: true });
    const [second] = gradients(first!, [x]);
    expect([first!.item(), second!.item()]).toEqual([1, 2]);
  });

  it('branches that no root needs get nothing', () => {
    const [x, y] = [leaf(1), leaf(1)];
    y.mul(x);
    x.mul(3).backward();
    expect(x.grad!.item()).toBe(3);
    expect(y.grad).toBeNull();
  });

  it('a leaf as the root', () => {
    const x = leaf(5);
    x.backward();
    x.backward();
    expect(x.grad!.item()).toBe(2);
    const v = leaf([1, 2]);
    v.backward(tensor([3, 4]));
    expect(at(v.grad)).toEqual([3, 4]);
  });

  it('an output of one element and any rank starts with 1; others with the seed they are given', () => {
    const x = leaf([[2]]);
    x.square().backward();
    expect(at(x.grad)).toEqual([[4]]);
    const y = leaf([1, 2]);
    y.square().backward(tensor([10, 100]));
    expect(at(y.grad)).toEqual([20, 400]);
  });

  it('empty tensors', () => {
    const x = tensor([], [0, 3]).requiresGrad_();
    x.mul(2).sum().backward();
    expect(x.grad!.shape).toEqual([0, 3]);
  });

  it('the same bits every time', () => {
    const run = (): Float32Array[] => {
      manualSeed(5);
      const model = new Sequential(new Linear(7, 9), new ReLU(), new Linear(9, 4));
      const x = randn([6, 7]);
      const hidden = model.forward(x);
      crossEntropy(hidden, [0, 1, 2, 3, 0, 1]).add(hidden.square().mean()).add(hidden.sum().mul(0.01)).backward();
      return model.parameters().map((p) => p.grad!.toFloat32Array());
    };
    const first = run();
    for (let i = 0; i < 5; i++) expect(run()).toEqual(first);
  });
});

describe('refusals are sentences', () => {
  it('a root of several numbers without a seed', () => {
    expect(() => leaf([1, 2]).mul(2).backward()).toThrow(/output has shape \[2\].*sum\(\) or mean\(\)/);
    expect(() => gradients(leaf([1, 2]), [leaf(1)])).toThrow(/output has shape \[2\]/);
  });

  it('a seed of the wrong shape', () => {
    const x = leaf([1, 2]);
    const y = x.mul(2);
    for (const start of [() => y.backward(tensor([1])), () => gradients(y, [x], { seed: tensor([[1, 1]]) })])
      expect(start).toThrow(/gradient of shape \[1(, 2)?\] does not fit an output of shape \[2\]/);
    expect(x.grad).toBeNull();
  });

  it('a root without history', () => {
    expect(() => tensor(1).backward()).toThrow(/no history.*requiresGrad_\(\).*noGrad.*detach\(\)/);
    expect(() => noGrad(() => leaf(1).mul(2)).backward()).toThrow(/no history/);
    expect(() => leaf(1).gt(0).backward()).toThrow(/no history/);
  });

  it('an input of gradients() that requires none', () => {
    expect(() => gradients(leaf(1).mul(2), [leaf(1), tensor(1)])).toThrow(/input 1 requires no gradient/);
  });

  it('a function for grad() that gives no tensor', () => {
    expect(() => grad(((x: Tensor) => x.item()) as unknown as (x: Tensor) => Tensor)(tensor(1))).toThrow(
      /grad: the function must return a tensor/,
    );
  });
});

describe('leaves', () => {
  it('requiresGrad_ switches on and off', () => {
    const x = tensor([1]).requiresGrad_();
    expect([x.requiresGrad, x.mul(2).requiresGrad]).toEqual([true, true]);
    x.requiresGrad_(false);
    expect([x.requiresGrad, x.mul(2).requiresGrad, x.grad]).toEqual([false, false, null]);
    const w = leaf([2]);
    x.mul(w).sum().backward();
    expect(at(w.grad)).toEqual([1]);
    expect(() => w.mul(2).requiresGrad_()).toThrow(/computed by mul.*detach\(\)/);
  });

  it('frozen after the forward pass, they get nothing', () => {
    const [x, w] = [leaf(2), leaf(3)];
    const loss = x.mul(w);
    w.requiresGrad_(false);
    loss.backward();
    expect(x.grad!.item()).toBe(3);
    expect(w.grad).toBeNull();
  });

  it('detach cuts: the same numbers, no history, memory of its own', () => {
    const x = leaf([1, 2]);
    const y = x.mul(2);
    const cut = y.detach();
    expect([cut.requiresGrad, at(cut)]).toEqual([false, [2, 4]]);
    cut.mul(x).sum().backward();
    expect(at(x.grad)).toEqual([2, 4]);
    noGrad(() => x.fill_(9));
    const copy = x.detach();
    noGrad(() => x.zero_());
    expect(at(copy)).toEqual([9, 9]);
  });

  it('.grad adds up, is forgotten with null, and may be set to a tensor, which is copied', () => {
    const x = leaf([1, 2]);
    for (let i = 0; i < 3; i++) x.mul(2).sum().backward();
    expect(at(x.grad)).toEqual([6, 6]);
    x.grad = null;
    x.mul(5).sum().backward();
    expect(at(x.grad)).toEqual([5, 5]);
    const given = tensor([10, 20]);
    x.grad = given;
    x.mul(1).sum().backward();
    expect(at(x.grad)).toEqual([11, 21]);
    expect(at(given)).toEqual([10, 20]);
    expect(() => {
      x.grad = tensor([1]);
    }).toThrow(/gradient of shape \[1\] does not fit shape \[2\]/);
    expect(() => {
      tensor(1).grad = tensor(1);
    }).toThrow(/only leaves that require a gradient/);
  });

  it('.grad may be changed in place (clipping), without touching other leaves that got the same message', () => {
    const [a, b] = [leaf([1, 2]), leaf([3, 4])];
    a.add(b).sum().backward();
    noGrad(() => a.grad!.mul_(0.5));
    expect([at(a.grad), at(b.grad)]).toEqual([
      [0.5, 0.5],
      [1, 1],
    ]);
    a.add(b).sum().backward();
    expect([at(a.grad), at(b.grad)]).toEqual([
      [1.5, 1.5],
      [2, 2],
    ]);
  });

  it('.grad of a computed tensor is null', () => {
    const y = leaf(1).mul(2);
    y.mul(3).backward();
    expect(y.grad).toBeNull();
  });
});

describe('in-place writes between forward and backward', () => {
  it('on a value that the rule reads are an error that names the op', () => {
    const [x, w] = [leaf([1, 2]), leaf([3, 4])];
    const loss = x.mul(w).sum();
    noGrad(() => w.add_(1));
    expect(() => loss.backward()).toThrow(/value that mul needs .*changed in place.*\[2\] and \[2\].*clone\(\)/);
    expect([x.grad, w.grad]).toEqual([null, null]);
  });

  it('on a value that the rule does not read are fine', () => {
    const [x, w] = [leaf([1, 2]), leaf([3, 4])];
    const loss = x.add(w).sum();
    noGrad(() => w.add_(1));
    loss.backward();
    expect(at(w.grad)).toEqual([1, 1]);
  });

  it('through a view of it are noticed too', () => {
    const x = leaf([1, 2, 3]);
    const data = tensor([1, 2, 3]);
    const loss = x.mul(data).sum();
    data.slice([[0, 1]]).fill_(7);
    expect(() => loss.backward()).toThrow(/value that mul needs/);
  });

  it('by optimizer.step() are caught', () => {
    manualSeed(1);
    const layer = new Linear(3, 2);
    const optimizer = new SGD(layer.parameters(), { lr: 0.1 });
    const forward = (): Tensor =>
      layer
        .forward(randn([4, 3]).requiresGrad_())
        .square()
        .sum();
    const [first, second] = [forward(), forward()];
    first.backward();
    optimizer.step();
    expect(() => second.backward()).toThrow(/value that linear needs .*optimizer\.step\(\)/);
    const third = forward();
    third.backward();
  });
});

describe('ops of one’s own', () => {
  const cube = defineOp<[Tensor]>({
    name: 'test.cube',
    inputs: ['x'],
    forward: ([x]) => x.mul(x).mul(x),
    gradient: [({ inputs: [x] }, g) => g.mul(x.mul(x)).mul(3)],
    reads: 'inputs',
    samples: (draw) => [{ inputs: [draw.normal([3])], attributes: undefined }],
  });

  it('have first and second derivatives like any other', () => {
    expect(() => checkGradients((x) => cube(x), [tensor([0.5, -2, 1])])).not.toThrow();
    expect(() => checkGradients((x) => cube(x.sin()).exp(), [tensor([0.5, -2, 1])])).not.toThrow();
    const x = leaf(2);
    cube(x).backward();
    expect(x.grad!.item()).toBe(12);
    expect(grad((y: Tensor) => grad((z: Tensor) => cube(z))(y))(tensor(2)).item()).toBe(12);
  });

  it('take numbers as operands', () => {
    expect(cube(2).item()).toBe(8);
    expect(add(2, leaf(1)).item()).toBe(3);
    expect(() => cube('2' as unknown as number)).toThrow(/test\.cube: expected a tensor or a number/);
  });

  it('are held to their word by checkGradients: a wrong slope, a wrong slope of the slope', () => {
    const wrong = (name: string, rule: GradientRule<[Tensor], undefined>) =>
      defineOp<[Tensor]>({
        name,
        inputs: ['x'],
        forward: ([x]) => x.square(),
        gradient: [rule],
        samples: () => [],
      });
    const tooLarge = wrong('test.tooLarge', ({ inputs: [x] }, g) => g.mul(x).mul(2.001));
    expect(() => checkGradients((x) => tooLarge(x), [tensor([1, 3])])).toThrow(
      /the gradient of entry 0 of input 0 \(shape \[2\]\)/,
    );
    const notLinked = wrong('test.notLinked', ({ inputs: [x] }, g) => g.mul(x.detach()).mul(2));
    expect(() => checkGradients((x) => notLinked(x), [tensor([1, 3])], { order: 1 })).not.toThrow();
    expect(() => checkGradients((x) => notLinked(x), [tensor([1, 3])])).toThrow(/the second derivative of entry/);
  });

  it('of any number of inputs, with one rule for all of them', () => {
    const weighted = defineOp<readonly Tensor[], { weights: readonly number[] }>({
      name: 'test.weighted',
      inputs: ['...xs'],
      forward: (xs, { weights }) => xs.map((x, i) => x.mul(weights[i]!)).reduce((a, b) => a.add(b)),
      gradient: ({ attributes: { weights } }, g, index) => g.mul(weights[index]!),
      reads: 'nothing',
      samples: () => [],
    });
    const [a, b] = [leaf([1, 2]), leaf([3, 4])];
    weighted([a, tensor([0, 0]), b, b], { weights: [2, 3, 5, 7] })
      .sum()
      .backward();
    expect([at(a.grad), at(b.grad)]).toEqual([
      [2, 2],
      [12, 12],
    ]);
    expect(weighted([a, 10], { weights: [1, 1] }).toArray()).toEqual([11, 12]);
    const f = (x: Tensor, y: Tensor) => weighted([x, y, x.mul(y)], { weights: [1, 2, 3] });
    expect(() => checkGradients(f, [tensor([1, 2]), tensor([3, 4])])).not.toThrow();
  });

  it('with an input that may be left out', () => {
    const scaled = defineOp<readonly Tensor[]>({
      name: 'test.scaled',
      inputs: ['x', 'scale?'],
      forward: ([x, scale]) => (scale === undefined ? x!.clone() : x!.mul(scale)),
      gradient: ({ inputs: [x, scale] }, g, index) =>
        index === 0 ? (scale === undefined ? g : g.mul(scale)) : g.mul(x!).sum(),
      samples: () => [],
    });
    const [x, scale] = [leaf([1, 2]), leaf(10)];
    scaled([x]).sum().backward();
    expect(at(x.grad)).toEqual([1, 1]);
    scaled([x, scale]).sum().backward();
    expect([at(x.grad), at(scale.grad)]).toEqual([[11, 11], 3]);
  });

  it('may send nothing to an input', () => {
    const gate = defineOp<[Tensor, Tensor]>({
      name: 'test.gate',
      inputs: ['x', 'gate'],
      forward: ([x, gate]) => x.mul(gate),
      gradient: [({ inputs: [, gate] }, g) => g.mul(gate), () => null],
      samples: () => [],
    });
    const [x, g] = [leaf([1, 2]), leaf([3, 4])];
    gate(x, g.mul(1)).sum().backward();
    expect([at(x.grad), g.grad]).toEqual([[3, 4], null]);
    expect(gradients(gate(x, g).sum(), [x, g]).map((slope) => slope?.toArray() ?? null)).toEqual([[3, 4], null]);
  });

  it('that have no derivative say why in their definition, and require no gradient', () => {
    const step = defineOp<[Tensor]>({
      name: 'test.step',
      inputs: ['x'],
      forward: ([x]) => x.gt(0),
      gradient: { because: 'a step is flat' },
      samples: () => [],
    });
    expect(step(leaf(1)).requiresGrad).toBe(false);
  });

  it('whose rule sends the wrong shape are told so', () => {
    const wrong = defineOp<[Tensor]>({
      name: 'test.wrongShape',
      inputs: ['x'],
      forward: ([x]) => x.sum(),
      gradient: [(_, g) => g],
      samples: () => [],
    });
    expect(() => wrong(leaf([1, 2])).backward()).toThrow(
      /gradient rule of test\.wrongShape sent shape \[\] to its input x, which has shape \[2\]/,
    );
  });

  it('whose forward gives back its input are told so, and the input keeps its place', () => {
    const same = defineOp<[Tensor]>({
      name: 'test.same',
      inputs: ['x'],
      forward: ([x]) => x,
      gradient: [(_, g) => g],
      samples: () => [],
    });
    const x = leaf([1, 2]);
    expect(() => same(x)).toThrow(/test\.same: its forward returned a tensor that has a history.*clone\(\)/);
    x.mul(2).sum().backward();
    expect(at(x.grad)).toEqual([2, 2]);
  });

  it('need a name of their own', () => {
    const again = () => defineOp<[Tensor]>({ ...cube.definition });
    expect(again).toThrow(/an op named test\.cube exists already/);
  });

  it('have one gradient rule for each input, or one for all', () => {
    const incomplete = () =>
      defineOp<[Tensor, Tensor]>({
        name: 'test.incomplete',
        inputs: ['a', 'b'],
        forward: ([a, b]) => a.mul(b),
        gradient: [(_, g) => g],
        samples: () => [],
      });
    expect(incomplete).toThrow(/test\.incomplete has 2 inputs \(a, b\) and 1 entries in gradient/);
  });

  it('whose rule fails leave no stale messages: the next walk is right', () => {
    let fail = true;
    const moody = defineOp<[Tensor]>({
      name: 'test.moody',
      inputs: ['x'],
      forward: ([x]) => x.mul(1),
      gradient: [
        (_, g) => {
          if (fail) throw new Error('not today');
          return g;
        },
      ],
      samples: () => [],
    });
    const x = leaf([1, 2]);
    const shared = x.mul(3);
    const loss = moody(shared).add(shared).sum();
    expect(() => loss.backward()).toThrow('not today');
    expect(() => gradients(loss, [shared])).toThrow('not today');
    expect(x.grad).toBeNull();
    fail = false;
    loss.backward();
    expect(at(x.grad)).toEqual([6, 6]);
    expect(x.mul(2).requiresGrad).toBe(true); // recording is on again
  });

  it('may run walks of their own within the walk: nothing that the outer one still needs is given back', () => {
    const inner = defineOp<[Tensor]>({
      name: 'test.inner',
      inputs: ['x'],
      forward: ([x]) => x.mul(2),
      gradient: [
        (_, g) => {
          for (let i = 0; i < 3; i++) grad((w: Tensor) => w.add(i).square().sum())(zeros([10_000]));
          return g.mul(2);
        },
      ],
      reads: 'nothing',
      samples: () => [],
    });
    const x = parameter(zeros([20_000]));
    inner(inner(x.mul(3)).tanh())
      .sum()
      .backward();
    expect(x.grad!.toFloat32Array()).toEqual(new Float32Array(20_000).fill(12));
  });

  it('may differentiate something themselves within the walk, as checkpointing does', () => {
    const block = (x: Tensor): Tensor => x.tanh().square();
    const checkpoint = defineOp<[Tensor]>({
      name: 'test.checkpoint',
      inputs: ['x'],
      forward: ([x]) => block(x),
      gradient: [
        ({ inputs: [x] }, g) => {
          const [, slope] = valueAndGrad((y: Tensor) => block(y).mul(g).sum())(x);
          return slope;
        },
      ],
      samples: () => [],
    });
    // Large enough for each walk's region to be closed.
    const data = randn([20_000]);
    const through = (layer: (x: Tensor) => Tensor): Float32Array => {
      const w = parameter(data);
      let y: Tensor = w;
      for (let i = 0; i < 4; i++) y = layer(y.mul(1.5));
      y.sum().backward();
      return w.grad!.toFloat32Array();
    };
    const [found, expected] = [through(checkpoint), through(block)];
    found.forEach((value, i) => {
      if (!(Math.abs(value - expected[i]!) < 1e-5)) throw new Error(`entry ${i}: ${value}, not ${expected[i]}`);
    });
  });
});

describe('gradients()', () => {
  it('gives null for what the output does not depend on, and one for each of the others, in order', () => {
    const [x, y, unused] = [leaf([1, 2]), leaf([3, 4]), leaf(1)];
    const found = gradients(x.mul(y).sum(), [y, unused, x, y]);
    expect(found.map((g) => g?.toArray() ?? null)).toEqual([[1, 2], null, [3, 4], [1, 2]]);
  });

  it('reaches values within the graph, and the output itself', () => {
    const x = leaf([1, 2]);
    const hidden = x.mul(3);
    const loss = hidden.square().sum();
    expect(gradients(loss, [hidden, loss]).map(at)).toEqual([[6, 12], 1]);
    // A value that is wanted still passes on what it got.
    expect(gradients(loss, [hidden, x]).map(at)).toEqual([
      [6, 12],
      [18, 36],
    ]);
  });

  it('touches no .grad: neither of the inputs nor of parameters on the way nor of a leaf that is the output', () => {
    const [x, w] = [leaf([1, 2]), leaf([3, 4])];
    x.mul(w).sum().backward();
    const before = [at(x.grad), at(w.grad)];
    gradients(x.mul(w).square().sum(), [x]);
    gradients(x.mul(w).square().sum(), [x], { createGraph: true });
    expect(grad((_: Tensor) => leafOutput)(tensor(1)).item()).toBe(0);
    expect([at(x.grad), at(w.grad)]).toEqual(before);
    expect(leafOutput.grad).toBeNull();
  });
  const leafOutput = tensor(1).requiresGrad_();

  it('leaves a .grad alone that is large and old', () => {
    const w = parameter(zeros([5000]));
    w.mul(2).sum().backward();
    for (let i = 0; i < 4; i++) gradients(w.mul(3).sum(), [w]);
    expect(w.grad!.toFloat32Array()).toEqual(new Float32Array(5000).fill(2));
  });

  it('gives tensors of their own: writing into one changes no other, and no constant', () => {
    const x = leaf(1);
    const [a, b] = [x.mul(2), x.mul(3)];
    const [first, second] = gradients(a.add(b), [a, b]);
    first!.fill_(100);
    expect(second!.item()).toBe(1);
    const [third] = gradients(x.add(5), [x], { createGraph: true });
    third!.fill_(100);
    expect(tensor(7).mul(1).item()).toBe(7);
    x.mul(4).backward();
    expect(x.grad!.item()).toBe(4);
  });

  it('is recorded with createGraph only, also inside noGrad', () => {
    const x = leaf(3);
    expect(gradients(x.pow(3), [x])[0]!.requiresGrad).toBe(false);
    expect(gradients(x.pow(3), [x], { createGraph: true })[0]!.requiresGrad).toBe(true);
    const y = x.pow(3);
    const second = noGrad(() => {
      const [first] = gradients(y, [x], { createGraph: true });
      expect(first!.mul(1).requiresGrad).toBe(false); // the walk recorded; what follows it does not
      return gradients(first!, [x])[0]!;
    });
    expect(second.item()).toBe(18);
  });
});

describe('grad()', () => {
  it('of several inputs gives one gradient for each, zeros for one that does not matter', () => {
    const f = (x: Tensor, y: Tensor, z: Tensor) => x.mul(y).sum().add(z.mul(0));
    const [dx, dy] = grad(f)(tensor([1, 2]), tensor([3, 4]), tensor(5));
    expect([at(dx), at(dy)]).toEqual([
      [3, 4],
      [1, 2],
    ]);
    const [value, [, ignored]] = valueAndGrad((x: Tensor, _: Tensor) => x.square())(tensor(3), tensor([1, 1]));
    expect([value.item(), at(ignored)]).toEqual([9, [0, 0]]);
  });

  it('nests: x^4 three times, tanh three times', () => {
    const third = (f: (x: Tensor) => Tensor) => grad((x: Tensor) => grad((y: Tensor) => grad(f)(y))(x));
    expect(third((x) => x.pow(4))(tensor(1.5)).item()).toBeCloseTo(24 * 1.5, 4);
    const second = (x: number) => -2 * Math.tanh(x) * (1 - Math.tanh(x) ** 2);
    for (const x of [-0.8, 0.1, 0.7])
      expect(third((y) => y.tanh())(tensor(x)).item()).toBeCloseTo(slopeOf(second, x), 4);
  });

  it('inside grad, over another variable: the outer one is kept apart', () => {
    // d/dx ( d/dy (x y^2) at y = 3 ) = 6
    const outer = grad((x: Tensor) => grad((y: Tensor) => x.mul(y.square()))(tensor(3)));
    expect(outer(tensor(10)).item()).toBe(6);
    // y = x: d/dx (2 x x) = 4 x, through the point as well as through the factor.
    expect(grad((x: Tensor) => grad((y: Tensor) => x.mul(y.square()))(x))(tensor(5)).item()).toBe(20);
  });

  it('over closures: parameters inside are constants to it, and keep their .grad', () => {
    const w = leaf([2, 3]);
    w.sum().backward();
    expect(at(grad((x: Tensor) => x.mul(w).sum())(tensor([1, 1])))).toEqual([2, 3]);
    expect(at(w.grad)).toEqual([1, 1]);
    // The function of a tensor that requires a gradient itself: still only what the function does counts.
    expect(at(grad((x: Tensor) => x.mul(w).sum())(w))).toEqual([2, 3]);
    expect(at(w.grad)).toEqual([1, 1]);
  });

  it('works inside noGrad and scope, and leaves the mode as it was', () => {
    const slope = noGrad(() => {
      const found = grad((x: Tensor) => x.square().sum())(tensor([1, 2]));
      expect(leaf(1).mul(2).requiresGrad).toBe(false);
      return found;
    });
    expect(at(slope)).toEqual([2, 4]);
    expect(at(scope(() => grad((x: Tensor) => x.square().sum())(tensor([1, 2]))))).toEqual([2, 4]);
    expect(() =>
      grad((_: Tensor) => {
        throw new Error('mine');
      })(tensor(1)),
    ).toThrow('mine');
    // Not inside a transform any more: gradients are not recorded.
    expect(grad((x: Tensor) => x.square())(leaf(1)).requiresGrad).toBe(false);
  });

  it('with createGraph gives gradients that can be differentiated', () => {
    const x = leaf(2);
    const slope = grad((y: Tensor) => y.pow(3), { createGraph: true })(x);
    slope.backward();
    expect(x.grad!.item()).toBe(12);
  });
});

describe('a gradient penalty', () => {
  it('has the gradient that differences give', () => {
    manualSeed(3);
    const data = randn([5, 3]);
    const [w, v] = [randn([4, 3]), randn([1, 4])];
    const penalty = (w1: Tensor, w2: Tensor): Tensor => {
      const x = data.detach().requiresGrad_();
      const output = linear(tanh(linear(x, w1)), w2).sum();
      const [slope] = gradients(output, [x], { createGraph: true });
      return slope!.square().sum(1).sqrt().sub(1).square().mean();
    };
    // By backward, in float32.
    const [a, b] = [parameter(w), parameter(v)];
    penalty(a, b).backward();
    // By differences of the penalty, in float32 too: a coarse check of every entry.
    for (const [p, values] of [
      [a, w.toFloat32Array()],
      [b, v.toFloat32Array()],
    ] as const) {
      const found = p.grad!.toFloat32Array();
      const h = 1e-2;
      values.forEach((value, i) => {
        const moved = (to: number): number => {
          const copy = tensor(values.with(i, to), p.shape);
          return (p === a ? penalty(copy, v) : penalty(w, copy)).item();
        };
        const numeric = (moved(value + h) - moved(value - h)) / (2 * h);
        expect(Math.abs(found[i]! - numeric)).toBeLessThan(2e-3 * Math.max(1, Math.abs(numeric)));
      });
    }
  });

  it('leaves the inputs’ .grad to backward alone', () => {
    const x = leaf([1, 2]);
    const w = leaf([3, 4]);
    const [slope] = gradients(x.square().mul(w).sum(), [x], { createGraph: true });
    expect(x.grad).toBeNull();
    slope!.square().sum().backward(); // sum (2 x w)^2
    expect(at(x.grad)).toEqual([8 * 9, 8 * 2 * 16]);
    expect(at(w.grad)).toEqual([8 * 3, 8 * 4 * 4]);
  });
});

it('with a full memory, a walk through first-order kernels stages one message at a time', () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  let held = 0;
  const probe = defineOp<[Tensor]>({
    name: 'test.probe',
    inputs: ['x'],
    forward: ([x]) => x.mul(1),
    gradient: [
      (_, g) => {
        held = memoryInUse();
        return g;
      },
    ],
    samples: () => [],
  });
  setMemoryLimit(0);
  try {
    createContext().run(() => {
      const w = parameter(zeros([2 ** 18]));
      let y: Tensor = probe(w);
      for (let i = 0; i < 20; i++) y = tanh(y);
      const before = memoryInUse();
      y.sum().backward();
      expect(w.grad!.toFloat32Array().every((g) => g === 1)).toBe(true);
      expect(held - before).toBeLessThan(4 * 2 ** 20);
    });
  } finally {
    setMemoryLimit(2 ** 40);
    warn.mockRestore();
  }
});
