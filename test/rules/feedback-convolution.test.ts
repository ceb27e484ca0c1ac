/** Feedback alignment of convolutions of any geometry, against the matrix that such a convolution is. */
import { describe, expect, it } from 'vitest';
import {
  attachRules,
  backward,
  Conv2d,
  type Conv2dOptions,
  conv2d,
  crossEntropy,
  Flatten,
  Generator,
  gradients,
  Linear,
  linear,
  ReLU,
  randn,
  relu,
  Sequential,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { feedbackAlignment } from '../../src/rules/feedback.ts';
import { differenceOf, type Matrix, matrixOf, times } from './numbers.ts';

const generator = (): Generator => new Generator(7);
const gradOf = (x: Tensor): Tensor => x.grad as Tensor;

describe('feedback alignment of convolutions', () => {
  /** The matrix from images to outputs that a convolution with these weights is, by its definition. */
  function unrolled(w: Tensor, image: readonly number[], output: readonly number[], options: Conv2dOptions): Matrix {
    const pair = (value: unknown): [number, number] =>
      (Array.isArray(value) ? value : [value, value]) as [number, number];
    const [stride, padding, dilation] = [
      pair(options.stride ?? 1),
      pair(options.padding ?? 0),
      pair(options.dilation ?? 1),
    ];
    const groups = options.groups ?? 1;
    const [channels, height, width] = image as [number, number, number];
    const [outChannels, outHeight, outWidth] = output as [number, number, number];
    const [, perGroup, kh, kw] = w.shape as [number, number, number, number];
    const weights = w.toFloat32Array();
    const matrix: number[][] = [];
    for (let o = 0; o < outChannels; o++)
      for (let oy = 0; oy < outHeight; oy++)
        for (let ox = 0; ox < outWidth; ox++) {
          const row = new Array<number>(channels * height * width).fill(0);
          for (let c = 0; c < perGroup; c++)
            for (let i = 0; i < kh; i++)
              for (let j = 0; j < kw; j++) {
                const channel = Math.floor(o / (outChannels / groups)) * perGroup + c;
                const [y, x] = [
                  oy * stride[0] - padding[0] + i * dilation[0],
                  ox * stride[1] - padding[1] + j * dilation[1],
                ];
                if (y < 0 || y >= height || x < 0 || x >= width) continue;
                row[(channel * height + y) * width + x]! += weights[((o * perGroup + c) * kh + i) * kw + j]!;
              }
          matrix.push(row);
        }
    return matrix;
  }

  const geometries: [string, Conv2dOptions, number][] = [
    ['plain', {}, 3],
    ['stride and padding', { stride: [2, 1], padding: [1, 2] }, 3],
    ['dilation', { dilation: 2, padding: 1 }, 2],
    ['groups', { groups: 2, padding: 1 }, 3],
    ['depthwise with stride', { groups: 4, stride: 2 }, 2],
  ];
  for (const [name, options, kernel] of geometries)
    it(`is the transpose of the unrolled B: ${name}`, () => {
      const draw = generator();
      const layer = new Conv2d(4, 8, kernel, { ...options, generator: draw });
      const rules = feedbackAlignment({ generator: draw });
      attachRules(layer, rules);
      const x = randn([2, 4, 6, 5], { generator: draw }).requiresGrad_();
      const y = layer.forward(x);
      const cotangent = randn(y.shape, { generator: draw });
      y.mul(cotangent).sum().backward();
      const b = unrolled(rules.conv2d.feedbackOf(layer.weight), [4, 6, 5], y.shape.slice(1), options);
      const g = matrixOf(cotangent.reshape([2, y.size / 2]));
      expect(differenceOf(gradOf(x), times(g, b))).toBeLessThan(1e-5);
      // The weight's own gradient is the ordinary one.
      const sent = gradOf(layer.weight).toArray();
      layer.weight.grad = null;
      backward(layer.forward(x).mul(cotangent).sum(), { rules: false });
      expect(gradOf(layer.weight).toArray()).toEqual(sent);
    });

  it('goes through pools, views and activations as they are', () => {
    const draw = generator();
    const net = new Sequential(
      new Conv2d(1, 3, 3, { generator: draw }),
      new ReLU(),
      new Flatten(),
      new Linear(3 * 4 * 4, 5, { generator: draw }),
    );
    const rules = feedbackAlignment({ generator: draw });
    attachRules(net, rules);
    const x = randn([2, 1, 6, 6], { generator: draw });
    const [filters, , w] = net.parameters() as [Tensor, Tensor, Tensor];
    crossEntropy(net.forward(x), [1, 4]).backward();
    const sent = gradOf(filters).toArray();
    // The same by hand: the gradient as if the last layer had B for its weight (and the logits that it has).
    const hidden = relu(conv2d(x, filters, net.parameters()[1]));
    const g = gradients(crossEntropy(linear(hidden.reshape([2, 48]), w, net.parameters()[3]), [1, 4]), [
      net.parameters()[3] as Tensor,
    ]);
    expect(g[0]!.shape).toEqual([5]);
    const logits = linear(hidden.reshape([2, 48]).detach(), w, net.parameters()[3]);
    const [error] = gradients(crossEntropy(logits, [1, 4]), [logits]);
    const below = error!.matmul(rules.linear.feedbackOf(w)).reshape([2, 3, 4, 4]);
    const [expected] = gradients(hidden.mul(below).sum(), [filters]);
    expect(differenceOf(tensor(sent), matrixOf(expected!.reshape([3, 9])))).toBeLessThan(1e-5);
  });
});
