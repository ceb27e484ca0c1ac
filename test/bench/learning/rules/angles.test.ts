import { describe, expect, it } from 'vitest';
import { angle, angleCells, measureAngles } from '../../../../bench/learning/rules/angles.ts';
import type { Trainer, UpdatePair } from '../../../../bench/learning/rules/configuration.ts';
import { makeTrainer } from '../../../../bench/learning/rules/configurations/backprop.ts';
import { Generator, randn, tensor } from '../../../../src/index.ts';

const floats = (...values: number[]) => Float32Array.from(values);

describe('angle', () => {
  it('is 0 for one direction, 90 for right angles, 180 for opposite directions, whatever the lengths', () => {
    expect(angle(floats(1, 2, -2), floats(2, 4, -4))).toBe(0);
    expect(angle(floats(3, 0), floats(0, -0.01))).toBeCloseTo(90, 12);
    expect(angle(floats(1, 2), floats(-3, -6))).toBeCloseTo(180, 12);
    expect(angle(floats(1, 0), floats(1, 1))).toBeCloseTo(45, 12);
  });

  it('keeps its digits where the arc cosine loses them', () => {
    const small = 2 ** -20;
    expect(angle(floats(1, 0), floats(1, small)) / ((180 / Math.PI) * Math.atan(small))).toBeCloseTo(1, 9);
  });

  it('holds for the smallest and largest numbers', () => {
    expect(angle(floats(1e-44, 0), floats(1e38, 1e38))).toBeCloseTo(45, 5);
  });

  it('is NaN where an update has no direction', () => {
    expect(angle(floats(0, 0), floats(1, 0))).toBeNaN();
    expect(angle(floats(Number.POSITIVE_INFINITY, 0), floats(1, 0))).toBeNaN();
    expect(angle(floats(), floats())).toBeNaN();
  });

  it('refuses updates of different sizes', () => {
    expect(() => angle(floats(1), floats(1, 2))).toThrow('the updates have 1 and 2 numbers');
  });
});

describe('measureAngles', () => {
  const batch = { images: tensor([[1, 2]]), labels: Int32Array.of(0) };
  const trainer = (...batches: UpdatePair[][]): Trainer => {
    let place = 0;
    return {
      ...{ step: () => 0, predict: () => Int32Array.of(0) },
      updateAndBackpropUpdate: () => batches[place++] ?? [],
    };
  };
  const pair = (layer: string, update: number[], backprop: number[]): UpdatePair => ({
    ...{ layer, update: tensor(update), backprop: tensor(backprop) },
  });

  it('is the mean over the batches, by layer', () => {
    const first = [pair('layer 1', [1, 0], [0, 1]), pair('layer 2', [1, 0], [1, 0])];
    const second = [pair('layer 1', [1, 0], [1, 1]), pair('layer 2', [1, 0], [-1, 0])];
    const angles = measureAngles(trainer(first, second), [batch, batch]);
    expect(Object.keys(angles ?? {})).toEqual(['layer 1', 'layer 2']);
    expect(angles?.['layer 1']).toBeCloseTo(67.5, 10);
    expect(angles?.['layer 2']).toBeCloseTo(90, 10);
  });

  it('has no angle for a layer that one batch leaves without a direction, and none for a rule that has no updates', () => {
    const still = [pair('layer 1', [0, 0], [0, 1])];
    const moving = [pair('layer 1', [0, 1], [0, 1])];
    expect(measureAngles(trainer(moving, still), [batch, batch])).toEqual({ 'layer 1': null });
    expect(measureAngles({ step: () => 0, predict: () => Int32Array.of(0) }, [batch])).toBeNull();
  });
});

describe('angleCells', () => {
  it('rounds to a tenth of a degree, with a dash for what is not there', () => {
    expect(angleCells({ 'layer 1': 12.345, 'layer 2': null })).toEqual(['12.3°', '-']);
    expect(angleCells(null)).toEqual(['-']);
  });
});

describe('backpropagation', () => {
  it('updates every layer as its gradients say, and is not moved by the question', () => {
    const generator = new Generator(3);
    const make = () => makeTrainer([6, 5, 4], 0.5, new Generator(2));
    const images = randn([8, 6], { generator });
    const labels = Int32Array.from({ length: 8 }, (_, i) => i % 4);
    const [asked, unasked] = [make(), make()];
    const before = generator.state;
    const angles = measureAngles(asked, [{ images, labels }]);
    expect(Object.keys(angles ?? {})).toEqual(['layer 1', 'layer 2']);
    for (const degrees of Object.values(angles ?? {})) expect(degrees).toBeLessThan(1e-3);
    expect(generator.state).toEqual(before);
    const right = (trainer: typeof asked) => Array.from({ length: 30 }, () => trainer.step(images, labels));
    expect(right(asked)).toEqual(right(unasked));
  });

  it('reports updates towards the label: -lr (p - y) x for a single layer', () => {
    const trainer = makeTrainer([2, 3], 0.5, new Generator(2));
    const pairs = trainer.updateAndBackpropUpdate?.(tensor([[1, -2]]), Int32Array.of(1)) ?? [];
    expect(pairs).toHaveLength(1);
    const { update, backprop } = pairs[0] as UpdatePair;
    for (const { shape, values } of [update, backprop].map((one) => ({ shape: one.shape, values: one.toArray() }))) {
      expect(shape).toEqual([3, 2]);
      const rows = values as [number, number][];
      for (const [first, second] of rows) expect(second).toBeCloseTo(-2 * first, 6);
      // The label's row goes along x, the others against it; together they cancel.
      expect(rows.map(([first]) => Math.sign(first))).toEqual([-1, 1, -1]);
      expect(rows.reduce((sum, [first]) => sum + first, 0)).toBeCloseTo(0, 6);
      expect(rows[1]?.[0]).toBeLessThan(0.5);
    }
  });
});
