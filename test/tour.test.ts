/** The library in one minute: one small thing from each of its rooms. If this fails, look at nothing else first. */
import { expect, it } from 'vitest';
import {
  Adam,
  arange,
  batches,
  Conv2d,
  CosineAnnealingLR,
  checkGradients,
  crossEntropy,
  defineOp,
  detectAnomaly,
  Flatten,
  Generator,
  grad,
  gradients,
  Linear,
  log,
  MaxPool2d,
  manualSeed,
  mseLoss,
  noGrad,
  parameter,
  ReLU,
  randn,
  Sequential,
  SGD,
  scope,
  type Tensor,
  Tensor as TensorClass,
  tensor,
  zeros,
} from '../src/index.ts';

it('computes, with broadcasting, views and reductions', () => {
  const x = tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  expect(
    x
      .mul(10)
      .add(tensor([1, 2, 3]))
      .sum(0)
      .toArray(),
  ).toEqual([52, 74, 96]);
  expect(x.transpose(0, 1).matmul(x).shape).toEqual([3, 3]);
  expect(x.slice([null, [0, 3, 2]]).toArray()).toEqual([
    [1, 3],
    [4, 6],
  ]);
  expect(x.softmax(1).sum(1).toArray()).toEqual([expect.closeTo(1), expect.closeTo(1)]);
  expect(x.argmax(1).toArray()).toEqual([2, 2]);
  expect(String(arange(3))).toBe('Tensor([0, 1, 2], shape=[3])');
  expect(zeros([2])).toBeInstanceOf(TensorClass);
});

it('differentiates, and differentiates that', () => {
  const w = parameter(tensor([1, 2]));
  w.square().sum().backward();
  expect(w.grad!.toArray()).toEqual([2, 4]);
  const f = (x: Tensor) => x.pow(3).sum();
  expect(grad((x: Tensor) => grad(f)(x).sum())(tensor([1, 2])).toArray()).toEqual([6, 12]);
  const [slope] = gradients(w.pow(3).sum(), [w], { createGraph: true });
  slope!.sum().backward();
  expect(w.grad!.toArray()).toEqual([2 + 6, 4 + 12]);
});

it('takes ops of one’s own, and checks them', () => {
  const swish = defineOp<[Tensor]>({
    name: 'tour.swish',
    inputs: ['x'],
    forward: ([x]) => x.mul(x.sigmoid()),
    gradient: [({ inputs: [x] }, g) => g.mul(x.sigmoid().mul(x.mul(x.neg().sigmoid()).add(1)))],
    samples: (draw) => [{ inputs: [draw.normal([3])], attributes: undefined }],
  });
  checkGradients((x) => swish(x), [tensor([-1, 0.5, 2])]);
});

it('trains a convolutional network on batches', () => {
  manualSeed(0);
  const generator = new Generator(1);
  const images = randn([24, 1, 8, 8], { generator });
  const labels = Int32Array.from({ length: 24 }, (_, i) => i % 3);
  const model = new Sequential(
    ...[new Conv2d(1, 6, 3), new ReLU(), new MaxPool2d(2), new Flatten(), new Linear(54, 3)],
  );
  const optimizer = new Adam(model.parameters(), { lr: 0.02 });
  const schedule = new CosineAnnealingLR(optimizer, { tMax: 20, etaMin: 0.001 });
  for (let epoch = 0; epoch < 20; epoch++) {
    for (const batch of batches(24, 8, { generator })) {
      const loss = crossEntropy(
        model.forward(images.indexSelect(0, batch)),
        Int32Array.from(batch, (i) => labels[i]!),
      );
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    }
    schedule.step();
  }
  expect(noGrad(() => model.forward(images).argmax(1).toArray())).toEqual(Array.from(labels));
  const copy = new Sequential(...[new Conv2d(1, 6, 3), new ReLU(), new MaxPool2d(2), new Flatten(), new Linear(54, 3)]);
  copy.loadStateDict(model.stateDict());
  expect(copy.forward(images).toArray()).toEqual(model.forward(images).toArray());
});

it('fits a line, gives memory back, and says what went wrong', () => {
  const [a, b] = [parameter(tensor(0)), parameter(tensor(0))];
  const optimizer = new SGD([a, b], { lr: 0.1, momentum: 0.5 });
  const x = arange(-1, 1, 0.1);
  for (let i = 0; i < 200; i++) {
    optimizer.zeroGrad();
    mseLoss(x.mul(a).add(b), x.mul(3).sub(1)).backward();
    optimizer.step();
  }
  expect([a.item(), b.item()]).toEqual([expect.closeTo(3, 3), expect.closeTo(-1, 3)]);
  expect(scope(() => x.mul(a).sum()).item()).toBeCloseTo(-3, 2);
  expect(() => x.matmul(zeros([3, 3]))).toThrow(/matmul: .*\[20\].*\[3, 3\]/);
  expect(() => detectAnomaly(() => log(tensor([1, 0])))).toThrow(/log made -Infinity at \[1\].*tour\.test\.ts/);
});
