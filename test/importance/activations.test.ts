import { describe, expect, it } from 'vitest';
import { noGrad } from '../../src/autograd/modes.ts';
import { gradients } from '../../src/autograd/transforms.ts';
import { measures } from '../../src/importance/measures.ts';
import { ReLU, Tanh } from '../../src/nn/activation.ts';
import { Flatten, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Linear } from '../../src/nn/linear.ts';
import { LayerNorm } from '../../src/nn/normalization.ts';
import { Generator } from '../../src/random/generator.ts';
import { tensor } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { arrayIn, drawnBatches, linearOf, numbersIn } from './tiny.ts';

const labelled = (x: ReturnType<typeof tensor>) => ({ x, labels: new Int32Array(x.shape[0]!) });

describe('Wanda', () => {
  it('by hand: |w| times the norm of its input over all batches; biases are left out', () => {
    const model = new Sequential(
      linearOf(
        [
          [1, -2],
          [3, 4],
        ],
        [5, 6],
      ),
    );
    const batches = () => [
      labelled(tensor([[3, 1]])),
      labelled(
        tensor([
          [4, 0],
          [0, 1],
        ]),
      ),
    ];
    const found = measures.wanda().measure({ model, batches });
    // Norms 5 and sqrt 2.
    expect(arrayIn(found, '0.weight')).toEqual([
      [5, Math.fround(2 * Math.SQRT2)],
      [15, Math.fround(4 * Math.SQRT2)],
    ]);
    expect([...found.keys()]).toEqual(['0.weight']);
  });

  it('of the second layer reads what comes out of the first', () => {
    const model = new Sequential(linearOf([[1], [-1]]), new ReLU(), linearOf([[2, 7]]));
    const found = measures.wanda().measure({ model, batches: () => [labelled(tensor([[3], [4]]))] });
    expect(arrayIn(found, '2.weight')).toEqual([[10, 0]]);
  });

  it('counts a layer once whose output is read twice, and both uses of a layer that is used twice', () => {
    class Doubled extends Sequential {
      override forward(x: Tensor): Tensor {
        const h = super.forward(x);
        return h.add(h.square());
      }
    }
    class Twice extends Sequential {
      override forward(x: Tensor): Tensor {
        return super.forward(super.forward(x));
      }
    }
    const batches = () => [labelled(tensor([[3]]))];
    const once = measures.wanda().measure({ model: new Doubled(linearOf([[2]])), batches });
    expect(arrayIn(once, '0.weight')).toEqual([[6]]);
    // It reads 3, then 6.
    const twice = measures.wanda().measure({ model: new Twice(linearOf([[2]])), batches });
    expect(numbersIn(twice, '0.weight')[0]).toBeCloseTo(2 * Math.sqrt(45), 4);
  });

  it('of a convolution is the root of what its gradient is for squared images and ones', () => {
    const generator = new Generator(3);
    const model = new Sequential(new Conv2d(4, 6, 3, { stride: 2, padding: 1, groups: 2, generator }));
    const x = randn([3, 4, 5, 7], { generator });
    const found = numbersIn(measures.wanda().measure({ model, batches: () => [labelled(x)] }), '0.weight');
    const layer = model.at(0) as Conv2d;
    const [sums] = gradients(layer.forward(x.square()).sum(), [layer.weight]);
    const [weights, squares] = [layer.weight.toFloat32Array(), sums!.toFloat32Array()];
    found.forEach((one, i) => {
      expect(one).toBeCloseTo(Math.abs(weights[i]!) * Math.sqrt(squares[i]!), 4);
    });
  });
});

describe('activity of units', () => {
  const model = new Sequential(
    linearOf(
      [
        [1, 0],
        [0, -1],
        [1, 1],
      ],
      [0, 0, -1],
    ),
    new ReLU(),
    linearOf([[1, 1, 1]], [0]),
  );
  // Activations: (1, 0, 2), (3, 2, 0), both after relu.
  const batches = () => [labelled(tensor([[1, 2]])), labelled(tensor([[3, -2]]))];
  const of = (form: 'mean' | 'variance' | 'live') => measures.activity({ form }).measure({ model, batches });

  it('by hand: mean |h|, variance, how often it lives; all that comes into a unit has it, outputs have none', () => {
    expect(arrayIn(of('mean'), '0.weight')).toEqual([
      [2, 2],
      [1, 1],
      [1, 1],
    ]);
    expect(arrayIn(of('mean'), '0.bias')).toEqual([2, 1, 1]);
    expect(arrayIn(of('variance'), '0.bias')).toEqual([1, 1, 1]);
    expect(arrayIn(of('live'), '0.bias')).toEqual([1, 0.5, 0.5]);
    expect([...of('mean').keys()]).toEqual(['0.weight', '0.bias']);
  });

  it('of channels is over all places, and reaches the norms between', () => {
    const generator = new Generator(5);
    const net = new Sequential(
      new Conv2d(1, 2, 2, { generator }),
      new LayerNorm([2, 2, 2]),
      new ReLU(),
      new Flatten(),
      new Linear(8, 2, { generator }),
    );
    const x = randn([4, 1, 3, 3], { generator });
    const found = measures.activity().measure({ model: net, batches: () => [labelled(x)] });
    const h = noGrad(() => net.at(1).forward(net.at(0).forward(x)).relu())
      .mean([0, 2, 3])
      .toFloat32Array();
    const expected = (size: number, inner: number) => Array.from({ length: size }, (_, i) => h[Math.floor(i / inner)]!);
    const near = (name: string, inner: number) =>
      numbersIn(found, name).forEach((one, i) => {
        expect(one).toBeCloseTo(expected(8, inner)[i]!, 6);
      });
    near('0.weight', 4);
    near('1.weight', 4);
    near('1.bias', 4);
    expect([...found.keys()]).toEqual(['0.weight', '0.bias', '1.weight', '1.bias']);
  });

  it('refuses another form', () => {
    expect(() => measures.activity({ form: 'median' as 'mean' })).toThrow(
      /form is 'mean', 'variance' or 'live', not median/,
    );
  });
});

describe('SynFlow', () => {
  it('by hand: |w| dR/d|w|', () => {
    const model = new Sequential(
      linearOf([
        [1, -2],
        [3, 0],
      ]),
      new ReLU(),
      linearOf([[-4, 5]]),
    );
    const found = measures.synflow({ rounds: 1, inputShape: [2] }).measure({ model });
    // R = 4 (1 + 2) + 5 (3 + 0) = 27.
    expect(arrayIn(found, '0.weight')).toEqual([
      [4, 8],
      [15, 0],
    ]);
    expect(arrayIn(found, '2.weight')).toEqual([[12, 15]]);
  });

  it('frozen weights count with their absolute value too, and are put back', () => {
    const frozen = linearOf([[-3]]);
    frozen.weight.requiresGrad_(false);
    const model = new Sequential(linearOf([[2]]), new ReLU(), frozen);
    const found = measures.synflow({ rounds: 1, inputShape: [1] }).measure({ model });
    expect([...found]).toHaveLength(1);
    expect(arrayIn(found, '0.weight')).toEqual([[6]]);
    expect(frozen.weight.toArray()).toEqual([[-3]]);
  });

  it('conserves: the sum over each layer is R, and over all paths that cross a layer or begin behind it with biases', () => {
    const generator = new Generator(6);
    const total = (numbers: number[]) => numbers.reduce((sum, x) => sum + x, 0);
    const bias = false;
    const net = new Sequential(
      new Conv2d(1, 3, 2, { generator, bias }),
      new ReLU(),
      new Flatten(),
      new Linear(12, 5, { generator, bias }),
      new ReLU(),
      new Linear(5, 2, { generator, bias }),
    );
    const batches = drawnBatches(generator, { count: 2, shape: [1, 3, 3], classes: 2 });
    const found = measures.synflow({ rounds: 1 }).measure({ model: net, batches });
    const sums = [...found.keys()].map((name) => total(numbersIn(found, name)));
    expect(sums).toHaveLength(3);
    for (const sum of sums) expect(sum / sums[0]!).toBeCloseTo(1, 5);

    const biased = new Sequential(new Linear(3, 4, { generator }), new ReLU(), new Linear(4, 2, { generator }));
    const flow = measures.synflow({ rounds: 1, inputShape: [3] }).measure({ model: biased });
    const of = (name: string) => total(numbersIn(flow, name));
    expect((of('0.weight') + of('0.bias') + of('2.bias')) / (of('2.weight') + of('2.bias'))).toBeCloseTo(1, 5);
  });

  it('in rounds gives each weight of a kernel the time at which it goes, all different, and loses no layer before the others', () => {
    const generator = new Generator(7);
    // A layer of tiny weights: by magnitude it would go as a whole.
    const net = new Sequential(
      new Linear(6, 10, { generator }),
      new ReLU(),
      new Linear(10, 4, { generator }),
      new ReLU(),
      new Linear(4, 2, { generator }),
    );
    noGrad(() => net.at(2).parameters()[0]!.mul_(1e-3));
    const found = measures.synflow({ rounds: 30, density: 0.1, inputShape: [6] }).measure({ model: net, generator });
    expect([...found.keys()]).toEqual(['0.weight', '2.weight', '4.weight']);
    const all = [...found.keys()].flatMap((name) => numbersIn(found, name));
    expect(all.toSorted((a, b) => a - b)).toEqual(all.map((_, i) => Math.fround((i + 1) / all.length)));
    for (const name of found.keys()) expect(Math.max(...numbersIn(found, name))).toBeGreaterThan(0.9);
  });

  it('in one round to the end orders kernels as the plain scores do', () => {
    const generator = new Generator(8);
    const net = new Sequential(
      new Linear(3, 4, { generator, bias: false }),
      new ReLU(),
      new Linear(4, 2, { generator, bias: false }),
    );
    const order = (rounds: { rounds: number; density?: number }) => {
      const found = measures.synflow({ ...rounds, inputShape: [3] }).measure({ model: net, generator });
      const all = [...found.keys()].flatMap((name) => numbersIn(found, name));
      return Array.from(all.keys()).sort((a, b) => all[a]! - all[b]!);
    };
    // At density 1 no round removes anything: what is left is ordered by the plain scores.
    expect(order({ rounds: 2, density: 1 })).toEqual(order({ rounds: 1 }));
  });

  it('says so where it knows no shape, where numbers overflow, and where options are out of range', () => {
    const model = new Sequential(new Linear(2, 2), new Tanh());
    expect(() => measures.synflow().measure({ model })).toThrow(
      /^synflow: there are no data to tell the shape of an input\./,
    );
    const huge = new Sequential(linearOf([[1e30]]), linearOf([[1e30]]));
    expect(() => measures.synflow({ inputShape: [1] }).measure({ model: huge })).toThrow(
      /^synflow: the sum of the outputs is Infinity/,
    );
    expect(arrayIn(measures.magnitude().measure({ model: huge }), '0.weight')).toEqual([[Math.fround(1e30)]]);
    expect(() => measures.synflow({ rounds: 0 })).toThrow(/rounds is a number from 1 up, not 0/);
    expect(() => measures.synflow({ density: 0 })).toThrow(
      /density is the fraction left, above 0 and at most 1, not 0/,
    );
  });
});
