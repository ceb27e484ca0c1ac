/** LayerNorm, the layer: its parameters, and that it is the op of the same name. */
import { describe, expect, it } from 'vitest';
import { Generator, randn } from '../../src/index.ts';
import { LayerNorm } from '../../src/nn/normalization.ts';
import { layerNorm } from '../../src/ops/normalization.ts';

describe('LayerNorm', () => {
  const x = randn([3, 2, 4], { generator: new Generator(1) });

  it('starts as plain normalization, with a weight of 1 and a bias of 0', () => {
    const layer = new LayerNorm([2, 4]);
    expect(layer.namedParameters().map(([name, value]) => [name, value.shape])).toEqual([
      ['weight', [2, 4]],
      ['bias', [2, 4]],
    ]);
    expect(layer.forward(x).toArray()).toEqual(layerNorm(x, [2, 4]).toArray());
  });

  it('uses weight, bias and eps', () => {
    const layer = new LayerNorm(4, { eps: 0.5 });
    const [weight, bias] = [randn([4]), randn([4])];
    layer.loadStateDict({ weight, bias });
    expect(layer.forward(x).toArray()).toEqual(layerNorm(x, 4, weight, bias, 0.5).toArray());
  });

  it('may go without bias, or without both', () => {
    expect(new LayerNorm(4, { bias: false }).namedParameters().map(([name]) => name)).toEqual(['weight']);
    expect(new LayerNorm(4, { affine: false }).namedParameters()).toEqual([]);
    expect(new LayerNorm(4, { affine: false }).forward(x).toArray()).toEqual(layerNorm(x, 4).toArray());
  });

  it('refuses what is no shape, and a negative eps', () => {
    expect(() => new LayerNorm([])).toThrow('LayerNorm: normalizedShape names at least one axis; [] names none.');
    expect(() => new LayerNorm(-1)).toThrow(/^LayerNorm/);
    expect(() => new LayerNorm(1.5)).toThrow(/^LayerNorm/);
    expect(() => new LayerNorm(4, { eps: -1 })).toThrow('eps must be a number of at least 0, but it is -1');
  });
});
