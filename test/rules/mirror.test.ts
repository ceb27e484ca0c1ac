/** The weight mirror: B turns towards W by noise alone. */
import { describe, expect, it } from 'vitest';
import {
  Conv2d,
  type Conv2dOptions,
  Generator,
  linear,
  parameter,
  randn,
  type Tensor,
  tensor,
  withRules,
} from '../../src/index.ts';
import { weightMirror } from '../../src/rules/mirror.ts';
import { angleBetween } from './numbers.ts';

const draw = (): Generator => new Generator(5);

describe('the weight mirror', () => {
  it('brings B of a linear layer to W, from anywhere', () => {
    const w = parameter(randn([6, 10], { generator: new Generator(6) }));
    const rules = weightMirror({ generator: draw(), scale: 20 });
    const x = randn([64, 10], { generator: draw() }).requiresGrad_();
    withRules(rules, () => linear(x, w, tensor(new Float32Array(6).fill(3))))
      .sum()
      .backward();
    const b = rules.linear.feedbackOf(w);
    expect(angleBetween([b], [w])).toBeGreaterThan(60);
    for (let i = 0; i < 100; i++) rules.linear.mirror(w, { rate: 0.05 });
    expect(angleBetween([b], [w])).toBeLessThan(6);
    const [size, wanted] = [b, w].map((t) => t.square().sum().sqrt().item()) as [number, number];
    expect(size / wanted).toBeCloseTo(1, 1);
    // What the rule sends down is B as it is now.
    x.grad = null;
    withRules(rules, () => linear(x, w))
      .sum()
      .backward();
    const row = b.sum(0).toFloat32Array();
    expect((x.grad as unknown as Tensor).toFloat32Array().slice(0, 10)).toEqual(row);
  });

  it('serves convolutions of any geometry', () => {
    const geometries: Conv2dOptions[] = [{}, { stride: 2, groups: 2 }, { dilation: 2, padding: 1 }];
    for (const options of geometries) {
      const layer = new Conv2d(4, 6, 3, { ...options, generator: draw() });
      const rules = weightMirror({ generator: draw() });
      const x = randn([8, 4, 9, 9], { generator: draw() }).requiresGrad_();
      withRules(rules, () => layer.forward(x))
        .sum()
        .backward();
      for (let i = 0; i < 60; i++) rules.conv2d.mirror(layer.weight);
      const b = rules.conv2d.feedbackOf(layer.weight);
      expect(angleBetween([b], [layer.weight])).toBeLessThan(15);
      const [size, wanted] = [b, layer.weight].map((t) => t.square().sum().sqrt().item()) as [number, number];
      expect(size / wanted).toBeGreaterThan(0.8);
      expect(size / wanted).toBeLessThan(1.1);
    }
  });

  it('takes one step as it says: (1 - decay) B + rate mean y x^T', () => {
    const w = parameter(tensor([[2]]));
    const rules = weightMirror({ initial: () => tensor([[3]]), generator: draw() });
    const x = tensor([[1], [1]]).requiresGrad_();
    withRules(rules, () => linear(x, w))
      .sum()
      .backward();
    const noise = randn([2, 1], { generator: draw() }).toFloat32Array();
    rules.linear.mirror(w, { rate: 0.5, decay: 0.25 });
    const mean = (2 * (noise[0]! ** 2 + noise[1]! ** 2)) / 2;
    expect(rules.linear.feedbackOf(w).item()).toBeCloseTo(0.75 * 3 + 0.5 * mean, 5);
  });

  it('asks for a backward first', () => {
    expect(() => weightMirror().linear.mirror(parameter(tensor([[1]])))).toThrow(/Call backward first/);
  });
});
