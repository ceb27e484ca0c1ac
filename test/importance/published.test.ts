/** What was wrong in the published comparison of orderings, each as a test that holds here. */
import { describe, expect, it } from 'vitest';
import { parameter } from '../../src/autograd/leaf.ts';
import { noGrad } from '../../src/autograd/modes.ts';
import { aggregate } from '../../src/importance/aggregate.ts';
import { type CurvePoint, meanCurve, performance, removalCurve } from '../../src/importance/curve.ts';
import type { LabelledBatch } from '../../src/importance/measure.ts';
import { measures } from '../../src/importance/measures.ts';
import { WeightMovement } from '../../src/importance/movement.ts';
import { rank } from '../../src/importance/ranking.ts';
import { ReLU } from '../../src/nn/activation.ts';
import { Sequential } from '../../src/nn/container.ts';
import { Linear } from '../../src/nn/linear.ts';
import { LayerNorm } from '../../src/nn/normalization.ts';
import { crossEntropy } from '../../src/ops/loss.ts';
import { Adam } from '../../src/optim/adam.ts';
import { Generator } from '../../src/random/generator.ts';
import { tensor } from '../../src/tensor/create.ts';
import { randn } from '../../src/tensor/random.ts';
import { arrayIn, linearOf, numbersIn, Small } from './tiny.ts';

/** A network that has learned which of two numbers is larger, watched while it did. */
function trained(): { model: Sequential; movement: WeightMovement; batches: () => LabelledBatch[] } {
  const generator = new Generator(3);
  const model = new Sequential(new Linear(2, 16, { generator }), new ReLU(), new Linear(16, 2, { generator }));
  const x = randn([60, 2], { generator });
  const labels = Int32Array.from(x.toArray() as [number, number][], ([a, b]) => (a > b ? 0 : 1));
  const optimizer = new Adam(model.parameters(), { lr: 0.02 });
  const movement = new WeightMovement(model.namedParameters());
  const detach = movement.attach(optimizer);
  for (let i = 0; i < 60; i++) {
    optimizer.zeroGrad();
    crossEntropy(model.forward(x), labels).backward();
    optimizer.step();
  }
  detach();
  return { model, movement, batches: () => [{ x, labels }] };
}

describe('of the published comparison', () => {
  it('1: a unit is all axes but the output one, and its bias; not the weights that leave an input', () => {
    const model = new Sequential(
      linearOf(
        [
          [1, 2, 3],
          [40, 50, 60],
        ],
        [6, 10],
      ),
    );
    const importance = measures.magnitude().measure({ model });
    expect(arrayIn(aggregate(model, importance, { by: 'unit' }), '0.weight')).toEqual([
      [3, 3, 3],
      [40, 40, 40],
    ]);
    // A number for each unit's bias, not one for the layer's.
    expect(arrayIn(aggregate(model, importance, { by: 'unit' }), '0.bias')).toEqual([3, 40]);
  });

  it('2: sign flipping, where most weights tie at the top, keeps no network alive at threshold 1', () => {
    const { model, movement, batches } = trained();
    const importance = measures.signFlips().measure({ model, movement });
    const all = [...importance.keys()].flatMap((name) => numbersIn(importance, name));
    expect(all.filter((one) => one === 1).length).toBeGreaterThan(all.length / 2);
    expect(performance({ model, batches }).accuracy).toBeGreaterThan(0.95);
    const ranking = rank(model, importance, { parameters: ['kernel', 'bias'], generator: new Generator(1) });
    const points = removalCurve({ model, batches }, ranking, { replacement: 'zero', thresholds: [0.5, 0.75, 1] });
    expect(points.map(({ fraction }) => Math.round(100 * fraction) / 100)).toEqual([0.5, 0.74, 1]);
    expect(points[2]!.loss).toBeCloseTo(Math.LN2, 6);
    expect(points[2]!.accuracy).toBeLessThan(0.7);
  });

  it('3: weights that moved down are no more important than those that moved up: the way is a sum of |step|', () => {
    const w = parameter(tensor([5, 5, 5]));
    const movement = new WeightMovement([['w', w]]);
    for (const values of [
      [7, 3, 7],
      [9, 1, 5],
    ]) {
      noGrad(() => w.copy_(tensor(values)));
      movement.observe();
    }
    const model = new Small(w, (x, own) => x.mul(own));
    const path = numbersIn(measures.pathLength().measure({ model, movement }), 'w');
    expect(path).toEqual([Math.fround(0.2), Math.fround(0.2), Math.fround(0.2)]);
    const change = numbersIn(measures.weightChange().measure({ model, movement }), 'w');
    expect(change).toEqual([Math.fround(0.2), Math.fround(0.2), 1]);
  });

  it('4: magnitude is |w|: a weight far below 0 is as important as one far above', () => {
    const model = new Sequential(linearOf([[-9, 1]]));
    expect(arrayIn(measures.magnitude().measure({ model }), '0.weight')).toEqual([[9, 1]]);
  });

  it('5: Fisher information is of log-softmax, and squares the gradient of each example before it adds', () => {
    // Two examples whose gradients cancel; the logits are negative, so their logarithm is not even a number.
    const model = new Small(parameter(tensor([[0], [0]])), (x, w) => x.matmul(w.transpose()).sub(3));
    const batches = () => [{ x: tensor([[2], [2]]), labels: Int32Array.of(0, 1) }];
    // p = 1/2: the gradient of log p of the label is +-1 for each weight.
    expect(numbersIn(measures.snip().measure({ model, batches }), 'w')).toEqual([0, 0]);
    for (const measure of [measures.fisherEmpirical(), measures.fisherExact(), measures.fisherSampled()])
      for (const one of numbersIn(measure.measure({ model, batches, generator: new Generator(1) }), 'w'))
        expect(one, measure.name).toBeCloseTo(1, 5);
  });

  const point = (loss: number): CurvePoint => ({
    threshold: 0,
    fraction: 0,
    count: 0,
    loss,
    cappedLoss: loss,
    accuracy: 0,
  });

  it('6: the error of a mean over N trials is s / sqrt(N)', () => {
    const [found] = meanCurve(
      [1, 2, 3, 6].map((loss) => [point(loss)]),
      'loss',
    );
    expect(found!.mean).toBe(3);
    expect(found!.standardError).toBeCloseTo(Math.sqrt((4 + 1 + 0 + 9) / 3) / 2, 12);
  });

  it('7: a tracker that begins anew keeps nothing of before, and its first sample is no live weight', () => {
    const w = parameter(tensor([1]));
    const movement = new WeightMovement([['w', w]]);
    const move = (to: number) => {
      noGrad(() => w.fill_(to));
      movement.observe();
    };
    // Were the first sample the live weight, this step would be from -1 to -1.
    move(-1);
    expect([movement.of('w').flips[0], movement.of('w').path[0]]).toEqual([1, 2]);
    move(1);
    movement.reset();
    expect([movement.of('w').flips[0], movement.of('w').path[0], movement.of('w').start[0]]).toEqual([0, 0, 1]);
    move(2);
    // The direction of before counts no reversal.
    expect([movement.of('w').flips[0], movement.of('w').reversals[0], movement.of('w').path[0]]).toEqual([0, 0, 1]);
    move(-1);
    move(0.5);
    expect([movement.of('w').flips[0], movement.of('w').reversals[0], movement.of('w').path[0]]).toEqual([2, 2, 5.5]);
  });

  it('8: norms and biases are not ranked among kernels', () => {
    const model = new Sequential(
      linearOf(
        [
          [5, 6],
          [7, 8],
        ],
        [1, 2],
      ),
      new LayerNorm(2),
    );
    const importance = measures.magnitude().measure({ model });
    const gone = (options: Parameters<typeof rank>[2]) => {
      const ranking = rank(model, importance, { generator: new Generator(1), ...options });
      return Array.from(
        ranking.removed(0.5),
        (i) => ranking.parameters.findLast(({ offset }) => offset <= i)!.name,
      ).sort();
    };
    expect(gone({})).toEqual(['0.weight', '0.weight']);
    const parameters = ['kernel', 'bias', 'norm'] as const;
    // Half of each kind, though all biases and norms are smaller than all weights.
    expect(gone({ parameters })).toEqual(['0.bias', '0.weight', '0.weight', '1.bias', '1.bias']);
    expect(gone({ parameters, pooled: true })).not.toContain('0.weight');
  });

  it('9: a loss above that of guessing is capped at it, for areas under curves', () => {
    // Without its first weight the network is sure of what is wrong.
    const model = new Sequential(
      linearOf([
        [20, -15],
        [0, 0],
      ]),
    );
    const batches = () => [{ x: tensor([[1, 1]]), labels: Int32Array.of(0) }];
    const ranking = rank(
      model,
      new Map([
        [
          '0.weight',
          tensor([
            [1, 2],
            [3, 4],
          ]),
        ],
      ]),
    );
    const points = removalCurve({ model, batches }, ranking, { replacement: 'zero', thresholds: [0, 0.25, 1] });
    expect(points[1]!.loss).toBeGreaterThan(10);
    expect(points[1]!.cappedLoss).toBe(Math.LN2);
    expect(points[0]!.cappedLoss).toBe(points[0]!.loss);
    expect(points.map(({ accuracy }) => accuracy)).toEqual([1, 0, 1]);
  });
});
