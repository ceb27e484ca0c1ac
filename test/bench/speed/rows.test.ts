import { describe, expect, it } from 'vitest';
import {
  channelsLast,
  type Product,
  permuted,
  productData,
  rows,
  type Training,
  trainingData,
} from '../../../bench/speed/rows.ts';

function rowNamed(name: string) {
  const row = rows.find((candidate) => candidate.name === name);
  if (row === undefined) throw new Error(`no row ${name}`);
  return row;
}

const productOf = (name: string) => rowNamed(name).task as Product;
const trainingOf = (name: string) => rowNamed(name).task as Training;

describe('rows', () => {
  it('have different names', () => {
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
  });

  it('count two operations for every multiply-add of a product', () => {
    expect(rowNamed('NT 512').workPerCall).toBeCloseTo(2 * 512 ** 3 * 1e-9, 12);
    expect(rowNamed('NN batched 8x128x64x128').workPerCall).toBeCloseTo(8 * 2 * 128 * 64 * 128 * 1e-9, 12);
  });
});

describe('productData', () => {
  it('stores the operand that the layout names transposed', () => {
    const shapes = (name: string) => {
      const { a, b } = productData({ ...productOf(name), m: 2, k: 3, n: 4 });
      return [a.shape, b.shape];
    };
    expect(shapes('NN 64')).toEqual([
      [2, 3],
      [3, 4],
    ]);
    expect(shapes('NT 64')).toEqual([
      [2, 3],
      [4, 3],
    ]);
    expect(shapes('TN 64')).toEqual([
      [3, 2],
      [3, 4],
    ]);
    expect(shapes('NN batched 8x128x64x128')).toEqual([
      [8, 2, 3],
      [8, 3, 4],
    ]);
  });
});

describe('trainingData', () => {
  it('is the same every time', () => {
    const task = trainingOf('MLP 20-5-1 batch 1');
    expect(trainingData(task)).toEqual(trainingData(task));
  });

  it('has a layer for every size, weights [out, in]', () => {
    const { layers, inputs } = trainingData(trainingOf('MLP 784-256-128-10 batch 64'));
    expect(inputs.shape).toEqual([64, 784]);
    expect(layers.map(({ weight }) => weight.shape)).toEqual([
      [256, 784],
      [128, 256],
      [10, 128],
    ]);
  });

  it('gives cross-entropy its labels in both forms', () => {
    const { labels, targets } = trainingData(trainingOf('MLP 784-256-128-10 batch 64'));
    labels.forEach((label, sample) => {
      const oneHot = targets.data.slice(10 * sample, 10 * sample + 10);
      expect(oneHot.indexOf(1)).toBe(label);
      expect(oneHot.reduce((sum, value) => sum + value, 0)).toBe(1);
    });
  });
});

describe('permuted', () => {
  it('moves the axes of a copy', () => {
    const matrix = { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] };
    expect(permuted(matrix, [1, 0])).toEqual({ data: Float32Array.of(1, 4, 2, 5, 3, 6), shape: [3, 2] });
    expect(permuted(permuted(matrix, [1, 0]), [1, 0])).toEqual(matrix);
  });
});

describe('channelsLast', () => {
  it('gives the linear layer behind the image its features in the new order', () => {
    const task = trainingOf('CNN 16-32 batch 32');
    const first = trainingData(task);
    const last = channelsLast(task, first);
    expect(last.inputs.shape).toEqual([32, 28, 28, 1]);
    expect(last.layers.map(({ weight }) => weight.shape)).toEqual([
      [3, 3, 1, 16],
      [3, 3, 16, 32],
      [10, 32 * 7 * 7],
    ]);
    const [channel, row, column] = [5, 3, 6];
    const before = first.layers[2]?.weight.data[(channel * 7 + row) * 7 + column];
    expect(last.layers[2]?.weight.data[(row * 7 + column) * 32 + channel]).toBe(before);
  });

  it('changes nothing where there is no image', () => {
    const task = trainingOf('MLP 20-5-1 batch 1');
    const data = trainingData(task);
    expect(channelsLast(task, data)).toBe(data);
  });
});
