import { describe, expect, it } from 'vitest';
import { inFloat64 } from '../../src/autograd/check.ts';
import { noGrad } from '../../src/autograd/modes.ts';
import { gradients } from '../../src/autograd/transforms.ts';
import { Compensation } from '../../src/importance/compensation.ts';
import { removalCurve } from '../../src/importance/curve.ts';
import { forwardLosses, type Subject } from '../../src/importance/measure.ts';
import { measures } from '../../src/importance/measures.ts';
import { rank } from '../../src/importance/ranking.ts';
import { Tanh } from '../../src/nn/activation.ts';
import { Flatten, Sequential } from '../../src/nn/container.ts';
import { Conv2d } from '../../src/nn/convolution.ts';
import { Linear } from '../../src/nn/linear.ts';
import { conv2d } from '../../src/ops/convolution.ts';
import { linear } from '../../src/ops/matmul.ts';
import { Generator } from '../../src/random/generator.ts';
import { tensor } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { drawnBatches, linearOf, numbersIn } from './tiny.ts';

/** A network of tanh, float64 or float32 as the heap around is, with drawn weights and data. */
function network(seed: number): Subject & { model: Sequential; batches: NonNullable<Subject['batches']> } {
  const generator = new Generator(seed);
  const model = new Sequential(new Linear(2, 3, { generator }), new Tanh(), new Linear(3, 2, { generator }));
  return { model, batches: drawnBatches(generator, { count: 5, shape: [2], classes: 2 }), generator };
}

/** The gradient of the mean loss, all parameters in a row. */
function gradientOf(subject: Subject): number[] {
  const leaves = subject.model.parameters();
  const sum = new Array<number>(leaves.reduce((total, { size }) => total + size, 0)).fill(0);
  let examples = 0;
  for (const batch of subject.batches!()) {
    const found = gradients(forwardLosses('test', subject, batch).sum(), leaves);
    found
      .flatMap((g) => Array.from((g!.toArray() as number[]).flat(3)))
      .forEach((g, i) => {
        sum[i]! += g;
      });
    examples += batch.labels.length;
  }
  return sum.map((g) => g / examples);
}

const weightsOf = ({ model }: Subject): number[] =>
  model.parameters().flatMap((w) => (w.toArray() as number[]).flat(3));

/** The gradient with one weight (of all in a row) moved. */
function gradientAt(subject: Subject, moved: number, by: number): number[] {
  let at = moved;
  for (const leaf of subject.model.parameters()) {
    if (at >= 0 && at < leaf.size) {
      const step = new Float64Array(leaf.size);
      step[at] = by;
      const before = leaf.detach();
      noGrad(() => leaf.add_(tensor(step, leaf.shape)));
      const found = gradientOf(subject);
      noGrad(() => leaf.copy_(before));
      return found;
    }
    at -= leaf.size;
  }
  throw new Error('there is no such weight');
}

/** The whole second derivative by central differences of gradients, in float64. */
function hessianOf(subject: Subject): number[][] {
  return weightsOf(subject).map((_, i) => {
    const [up, down] = [gradientAt(subject, i, 1e-4), gradientAt(subject, i, -1e-4)];
    return up.map((g, j) => (g - down[j]!) / 2e-4);
  });
}

const inRow = (subject: Subject, importance: ReturnType<ReturnType<typeof measures.obd>['measure']>): number[] =>
  subject.model.namedParameters().flatMap(([name]) => numbersIn(importance, name));

describe('against the whole second derivative of a small network, by differences', () => {
  it('OBD with the exact diagonal is 1/2 H_ii w_i^2', () => {
    inFloat64(() => {
      const subject = network(1);
      const h = hessianOf(subject);
      const w = weightsOf(subject);
      const found = inRow(subject, measures.obd({ diagonal: 'exact' }).measure(subject));
      expect(found).toHaveLength(17);
      found.forEach((one, i) => {
        expect(one).toBeCloseTo(0.5 * h[i]![i]! * w[i]! ** 2, 6);
      });
    });
  });

  it("OBD by Hutchinson's estimate comes near with many samples, and is drawn from the generator", () => {
    const subject = network(2);
    const exact = inRow(subject, measures.obd({ diagonal: 'exact' }).measure(subject));
    const estimate = (samples: number, seed: number) =>
      inRow(subject, measures.obd({ samples }).measure({ ...subject, generator: new Generator(seed) }));
    const error = (found: number[]) => Math.sqrt(found.reduce((sum, x, i) => sum + (x - exact[i]!) ** 2, 0));
    const size = error(exact.map(() => 0));
    expect(error(estimate(400, 1))).toBeLessThan(0.1 * size);
    expect(error(estimate(1, 1))).toBeGreaterThan(0.1 * size);
    expect(estimate(2, 1)).toEqual(estimate(2, 1));
    expect(estimate(2, 1)).not.toEqual(estimate(2, 2));
  });

  it('GraSP is w (H g): half of what |g|^2 loses, to first order, when the weight goes', () => {
    inFloat64(() => {
      const subject = network(3);
      const w = weightsOf(subject);
      const found = inRow(subject, measures.grasp().measure(subject));
      const flow = (i: number, by: number) => gradientAt(subject, i, by).reduce((sum, g) => sum + g * g, 0);
      found.forEach((one, i) => {
        const step = 1e-4 * w[i]!;
        expect(one).toBeCloseTo((flow(i, step) - flow(i, -step)) / 2e-4 / 2, 6);
      });
      // Both signs are there: a wrong one would show.
      expect(found.some((one) => one > 1e-4) && found.some((one) => one < -1e-4)).toBe(true);
    });
  });

  it('refuses options out of range', () => {
    expect(() => measures.obd({ samples: 0 })).toThrow(/^obd: samples is a number of vectors from 1 up, not 0\./);
    expect(() => measures.obd({ diagonal: 'block' as 'exact' })).toThrow(/'hutchinson' or 'exact', not block/);
    expect(() => measures.taylor({ form: 'cubed' as 'squared' })).toThrow(/'absolute' or 'squared', not cubed/);
  });
});

/** The inverse of a small matrix by Gauss and Jordan. */
function inverse(matrix: number[][]): number[][] {
  const n = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let i = 0; i < n; i++) {
    const pivot = rows
      .slice(i)
      .reduce((best, row, k) => (Math.abs(row[i]!) > Math.abs(rows[best]![i]!) ? k + i : best), i);
    [rows[i], rows[pivot]] = [rows[pivot]!, rows[i]!];
    const scale = rows[i]![i]!;
    rows[i] = rows[i]!.map((x) => x / scale);
    for (let k = 0; k < n; k++)
      if (k !== i) rows[k] = rows[k]!.map((x, j) => x - matrixFactor(rows, k, i) * rows[i]![j]!);
  }
  return rows.map((row) => row.slice(n));
}
function matrixFactor(rows: number[][], k: number, i: number): number {
  return rows[k]![i]!;
}

describe('optimal brain surgeon', () => {
  const generator = new Generator(8);
  const damping = 0.01;
  const model = new Sequential(new Linear(4, 3, { generator }));
  // Inputs that depend on each other, so that others can make up for what goes.
  const x = randn([20, 4], { generator }).matmul(
    tensor([
      [1, 0.8, 0, 0.3],
      [0, 1, 0.5, 0],
      [0, 0, 1, 0.9],
      [0.2, 0, 0, 1],
    ]),
  );
  const batches = () => [
    { x: x.slice([[0, 12]]), labels: new Int32Array(12) },
    { x: x.slice([[12, 20]]), labels: new Int32Array(8) },
  ];
  const subject = { model, batches };
  const rows = (x.toArray() as number[][]).map((row) => [...row, 1]);
  const gram = [0, 1, 2, 3, 4].map((i) =>
    [0, 1, 2, 3, 4].map((j) => rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0) / 20),
  );
  const ridge = (damping * gram.reduce((sum, row, i) => sum + row[i]!, 0)) / 5;
  const h = gram.map((row, i) => row.map((value, j) => value + (i === j ? ridge : 0)));

  it('is w^2 / (2 [H^-1]_ii), H of inputs and a one for the bias, damped', () => {
    const inverted = inverse(h);
    const found = measures.obs({ damping }).measure(subject);
    const [weight, bias] = model.parameters().map((w) => w.toFloat32Array());
    numbersIn(found, '0.weight').forEach((one, i) => {
      expect(one / (weight![i]! ** 2 / (2 * inverted[i % 4]![i % 4]!))).toBeCloseTo(1, 4);
    });
    numbersIn(found, '0.bias').forEach((one, i) => {
      expect(one / (bias![i]! ** 2 / (2 * inverted[4]![4]!))).toBeCloseTo(1, 4);
    });
  });

  const outputError = (before: number[][]): number => {
    const after = noGrad(() => model.forward(x)).toArray() as number[][];
    return after.reduce((sum, row, i) => sum + row.reduce((own, y, j) => own + (y - before[i]![j]!) ** 2, 0), 0);
  };

  it('compensation is the closed form, and changes the output less than weights that only go', () => {
    const compensation = new Compensation(subject, { damping });
    const saved = model.stateDict();
    const before = noGrad(() => model.forward(x)).toArray() as number[][];
    const gone = Uint8Array.of(1, 0, 1, 0, /**/ 0, 0, 0, 1, /**/ 0, 0, 0, 0);
    noGrad(() =>
      model
        .at(0)
        .parameters()[0]!
        .mul_(
          tensor(
            Array.from(gone, (one) => 1 - one),
            [3, 4],
          ),
        ),
    );
    const zeroed = outputError(before);
    compensation.apply(new Map([['0.weight', gone]]));
    const compensated = outputError(before);
    expect(compensated).toBeLessThan(0.6 * zeroed);

    const [weight, bias] = model.parameters().map((w) => w.toFloat32Array());
    const [oldWeight, oldBias] = ['0.weight', '0.bias'].map((name) => saved[name]!.toFloat32Array());
    const inverted = inverse(h);
    [[0, 2], [3], []].forEach((goes, unit) => {
      const block = goes.length === 0 ? [] : inverse(goes.map((i) => goes.map((j) => inverted[i]![j]!)));
      const pull = block.map((row) => row.reduce((sum, b, j) => sum + b * oldWeight![unit * 4 + goes[j]!]!, 0));
      for (let column = 0; column < 5; column++) {
        const old = column < 4 ? oldWeight![unit * 4 + column]! : oldBias![unit]!;
        const now = column < 4 ? weight![unit * 4 + column]! : bias![unit]!;
        const expected = old - goes.reduce((sum, i, k) => sum + inverted[column]![i]! * pull[k]!, 0);
        expect(now, `unit ${unit}, column ${column}`).toBeCloseTo(goes.includes(column) ? 0 : expected, 4);
      }
    });
    compensation.restore();
    for (const [name, w] of model.namedParameters()) expect(w.toFloat32Array()).toEqual(saved[name]!.toFloat32Array());
  });

  it('the score of a single weight is half the damped change that compensation leaves', () => {
    const saved = model.stateDict();
    const score = numbersIn(measures.obs({ damping }).measure(subject), '0.weight')[1]!;
    const compensation = new Compensation(subject, { damping });
    const [weight] = model.parameters();
    const numbers = weight!.toFloat32Array();
    numbers[1] = 0;
    noGrad(() => weight!.copy_(tensor(numbers, [3, 4])));
    compensation.apply(new Map([['0.weight', Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)]]));
    const now = [...weight!.toFloat32Array().slice(0, 4), model.parameters()[1]!.toFloat32Array()[0]!];
    const old = [...saved['0.weight']!.toFloat32Array().slice(0, 4), saved['0.bias']!.toFloat32Array()[0]!];
    const d = now.map((value, i) => value - old[i]!);
    const change = d.reduce((sum, a, i) => sum + d.reduce((own, b, j) => own + a * h[i]![j]! * b, 0), 0);
    expect(score / (change / 2)).toBeCloseTo(1, 3);
    model.loadStateDict(saved);
  });

  it('a curve with compensation strays less from the outputs of before than one without, and restores everything', () => {
    const saved = model.stateDict();
    const before = noGrad(() => model.forward(x)).detach();
    // Labels are numbers of examples here: the loss is the squared distance from what the output was.
    const held = {
      model,
      batches: () => [{ x, labels: Int32Array.from({ length: 20 }, (_, i) => i) }],
      losses: (output: Tensor, labels: Int32Array) => output.sub(before.indexSelect(0, labels)).square().sum(1),
    };
    const importance = measures.obs({ damping }).measure(subject);
    const curve = (repair?: Compensation) =>
      removalCurve(held, rank(model, importance, { compare: 'row', generator: new Generator(1) }), {
        thresholds: [0.25, 0.75, 0, 0.5],
        replacement: 'zero',
        ...(repair && { repair }),
      }).map(({ loss }) => loss);
    const [plain, repaired] = [curve(), curve(new Compensation(subject, { damping }))];
    expect(plain[2]).toBe(0);
    expect(repaired[2]).toBe(0);
    for (const i of [0, 1, 3]) expect(repaired[i]!).toBeLessThan(plain[i]!);
    for (const [name, w] of model.namedParameters()) expect(w.toFloat32Array()).toEqual(saved[name]!.toFloat32Array());
  });

  it('of a convolution, in groups too, is that of its patches', () => {
    const draw = new Generator(2);
    const net = new Sequential(
      new Conv2d(2, 4, [2, 3], { stride: [1, 2], padding: 1, dilation: [3, 2], groups: 2, generator: draw }),
      new Flatten(),
    );
    const images = randn([3, 2, 5, 6], { generator: draw });
    const found = measures
      .obs({ damping })
      .measure({ model: net, batches: () => [{ x: images, labels: new Int32Array(3) }] });
    const layer = net.at(0) as Conv2d;
    for (const group of [0, 1]) {
      // Patches as the outputs of a convolution with one filter for each number of the window.
      const filters = tensor(
        Array.from({ length: 6 }, (_, i) => Array.from({ length: 6 }, (_, j) => (i === j ? 1 : 0))).flat(),
        [6, 1, 2, 3],
      );
      const patches = noGrad(() =>
        conv2d(images.slice([null, [group, group + 1]]), filters, null, { ...layer, groups: 1 }),
      );
      const columns = (patches.permute([1, 0, 2, 3]).reshape([6, -1]).toArray() as number[][]).concat([]);
      const ones = columns[0]!.map(() => 1);
      const all = [...columns, ones];
      const matrix = all.map((a) => all.map((b) => a.reduce((sum, value, i) => sum + value * b[i]!, 0) / ones.length));
      const add = (damping * matrix.reduce((sum, row, i) => sum + row[i]!, 0)) / 7;
      const inverted = inverse(matrix.map((row, i) => row.map((value, j) => value + (i === j ? add : 0))));
      const weights = layer.weight.toFloat32Array();
      const scores = numbersIn(found, '0.weight');
      for (let i = group * 12; i < group * 12 + 12; i++)
        expect(scores[i]! / (weights[i]! ** 2 / (2 * inverted[i % 6]![i % 6]!))).toBeCloseTo(1, 3);
    }
  });

  it('compensation of a convolution in groups is that of a convolution for each group', () => {
    const draw = new Generator(4);
    const grouped = new Sequential(new Conv2d(2, 4, 2, { groups: 2, generator: draw }), new Flatten());
    const images = randn([4, 2, 4, 4], { generator: draw });
    const [weight, bias] = grouped.parameters();
    const gone = Uint8Array.from({ length: 16 }, (_, i) => (i % 3 === 0 ? 1 : 0));
    const remove = (net: Sequential, input: Tensor, mask: Uint8Array) => {
      const compensation = new Compensation({
        model: net,
        batches: () => [{ x: input, labels: new Int32Array(4) }],
      });
      const [kernel] = net.parameters();
      noGrad(() => kernel!.mul_(tensor(Array.from(mask, (one) => 1 - one)).reshape(kernel!.shape)));
      compensation.apply(new Map([['0.weight', mask]]));
      return net.parameters().map((w) => Array.from(w.toFloat32Array()));
    };
    const alone = [0, 1].map((group) => {
      const net = new Sequential(new Conv2d(1, 2, 2, { generator: draw }), new Flatten());
      noGrad(() => {
        net.parameters()[0]!.copy_(weight!.slice([[2 * group, 2 * group + 2]]));
        net.parameters()[1]!.copy_(bias!.slice([[2 * group, 2 * group + 2]]));
      });
      return remove(net, images.slice([null, [group, group + 1]]), gone.slice(8 * group, 8 * group + 8));
    });
    const together = remove(grouped, images, gone);
    [0, 1].forEach((which) => {
      alone
        .flatMap((parts) => parts[which]!)
        .forEach((value, i) => {
          expect(together[which]![i]!).toBeCloseTo(value, 4);
        });
    });
  });

  it('says so where there is no layer to solve for, or damping is not above 0', () => {
    const small = { model: linearOf([[1, 2]]), batches: () => [{ x: tensor([[1, 2]]), labels: Int32Array.of(0) }] };
    expect(() => measures.obs({ damping: 0 }).measure(small)).toThrow(
      /^obs: damping is a fraction .*, above 0, and not 0\./,
    );
    class Product extends Sequential {
      readonly w = linearOf([[1, 2]]).weight;
      override forward(input: typeof x): typeof x {
        return linear(input, this.w.mul(2));
      }
    }
    const computed = { ...small, model: new Product() };
    expect(() => measures.obs().measure(computed)).toThrow(
      /^obs: the model has no linear layer and no convolution whose kernel is a parameter/,
    );
    expect(() => measures.wanda().measure(computed)).toThrow(/^wanda: the model has no linear layer/);
  });
});
