/** A network of everything that has a target rule (convolution, tanh, max pool, residual, linear) learns digits by targets alone. */
import { expect, it } from 'vitest';
import { drawDigits } from '../../../bench/learning/digits.ts';
import {
  add,
  avgPool2d,
  backward,
  Conv2d,
  Generator,
  inboxOf,
  Linear,
  Module,
  maxPool2d,
  noGrad,
  oneHot,
  softmax,
  type Tensor,
  tanh,
  target,
  tensor,
  withRules,
} from '../../../src/index.ts';
import { springs } from '../../../src/rules/springs/springs.ts';
import { targetAdd } from '../../../src/rules/target/add.ts';
import { targetConvolution } from '../../../src/rules/target/convolution.ts';
import { targetElementwise } from '../../../src/rules/target/elementwise.ts';
import { targetLinear } from '../../../src/rules/target/linear.ts';
import { targetMaxPool } from '../../../src/rules/target/pool.ts';

class Net extends Module {
  readonly conv: Conv2d;
  readonly down: Linear;
  readonly branch: Linear;
  readonly head: Linear;

  constructor(generator: Generator) {
    super();
    this.conv = new Conv2d(1, 8, 3, { padding: 1, generator });
    this.down = new Linear(8 * 16, 32, { generator });
    this.branch = new Linear(32, 32, { generator });
    this.head = new Linear(32, 10, { generator });
  }

  override forward(x: Tensor): Tensor {
    const features = maxPool2d(tanh(this.conv.forward(x)), { kernelSize: 2 }).flatten(1);
    const h = tanh(this.down.forward(features));
    return this.head.forward(add(h, tanh(this.branch.forward(h))));
  }
}

/** Digits of 9 x 9. */
function digits(count: number, seed: number) {
  const { pixels, labels } = drawDigits(count, new Generator(seed));
  const images = tensor(
    Float32Array.from(pixels).map((byte) => byte / 255),
    [count, 1, 28, 28],
  );
  return { images: avgPool2d(images, { kernelSize: 3 }).detach(), labels: Int32Array.from(labels) };
}

const targets = {
  linear: targetLinear({ signal: 'ridge', ridge: 1, weighting: 'natural', input: 'forward' }),
  conv2d: targetConvolution({ weighting: 'natural', input: 'forward' }),
  // One precision for a whole sample: the linear rule then factors one matrix a batch.
  tanh: targetElementwise({ margin: 0.2, precision: 'same' }),
  maxPool2d: targetMaxPool(),
  add: targetAdd(),
};
const [training, held] = [digits(384, 1), digits(200, 2)];

/** Rules, how far down the cross entropy logits are asked to go, how much of a step is made, what each layer must have moved. */
for (const [name, rules, reach, share, least] of [
  ['target rules', targets, 1, 1, 1e-2],
  ['springs', springs(), 5, 3, 1e-4],
] as const)
  it(`${name}: far above chance on digits it has not seen (0.1), every layer learning`, () => {
    const net = new Net(new Generator(3));
    const before = net.parameters().map((w) => w.detach());
    const batch = 32;
    for (let step = 0; step < 10 * 12; step++) {
      const from = (step % 12) * batch;
      const labels = training.labels.slice(from, from + batch);
      const logits = withRules(rules, () => net.forward(training.images.slice([[from, from + batch]])));
      const y = logits.detach();
      backward(target(logits, y.sub(softmax(y).sub(oneHot(labels, 10)).mul(reach)), { precision: 1 / batch }));
      noGrad(() => {
        for (const w of net.parameters()) w.add_(inboxOf(w)!.step().mul(share));
      });
      net.zeroGrad();
    }
    for (const [i, w] of net.parameters().entries())
      expect(noGrad(() => w.sub(before[i]!).norm().div(before[i]!.norm()).item())).toBeGreaterThan(least);
    const guesses = noGrad(() => net.forward(held.images).argmax(1)).data;
    const right = guesses.reduce((count, guess, i) => count + (guess === held.labels[i] ? 1 : 0), 0);
    expect(right / guesses.length).toBeGreaterThan(0.35);
  }, 20_000);
