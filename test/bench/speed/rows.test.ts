import { describe, expect, it } from 'vitest';
import { type ArrayTask, arrayData, arrayResultSize } from '../../../bench/speed/rows/arrays.ts';
import { type Convolution, convolutionData, convolutionResultShape } from '../../../bench/speed/rows/convolutions.ts';
import { elementCount, permuted } from '../../../bench/speed/rows/numbers.ts';
import { type Product, productData } from '../../../bench/speed/rows/products.ts';
import { suiteNames } from '../../../bench/speed/rows/row.ts';
import { channelsLast, type Training, trainingData } from '../../../bench/speed/rows/trainings.ts';
import { rows } from '../../../bench/speed/rows.ts';

function rowNamed(name: string) {
  const row = rows.find((candidate) => candidate.name === name);
  if (row === undefined) throw new Error(`no row ${name}`);
  return row;
}

const productOf = (name: string) => rowNamed(name).task as Product;
const trainingOf = (name: string) => rowNamed(name).task as Training;
const arrayOf = (name: string) => rowNamed(name).task as ArrayTask;
const convolutionOf = (name: string) => rowNamed(name).task as Convolution;

describe('rows', () => {
  it('have different names', () => {
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
  });

  it('are there for every suite, with one unit in each', () => {
    for (const suite of suiteNames) {
      expect(new Set(rows.filter((row) => row.suite === suite).map(({ unit }) => unit)).size, suite).toBe(1);
    }
  });

  it('count two operations for every multiply-add of a product', () => {
    expect(rowNamed('NT 512').workPerCall).toBeCloseTo(2 * 512 ** 3 * 1e-9, 12);
    expect(rowNamed('NN batched 8x128x64x128').workPerCall).toBeCloseTo(8 * 2 * 128 * 64 * 128 * 1e-9, 12);
  });
});

describe('array rows', () => {
  const tasks = rows.flatMap(({ task }) => (task.kind === 'array' ? [task] : []));

  it('have a million numbers in their longest array, so that the unit is also calls a second', () => {
    for (const task of tasks) {
      const operands = task.shapes.map(elementCount);
      expect(Math.max(...operands, arrayResultSize(task)), task.operation).toBe(1e6);
    }
  });

  it('know how many numbers come out', () => {
    const size = (name: string) => arrayResultSize(arrayOf(name));
    expect(['exp', 'sum axis 0', 'sum all', 'sum axis 1 of 100x100x100', 'cat axis 1'].map(size)).toEqual([
      1e6, 1000, 1, 1e4, 1e6,
    ]);
  });

  it('gather every row once, not in order', () => {
    const { indices } = arrayData(arrayOf('gather rows'));
    expect(new Set(indices).size).toBe(1000);
    expect(Math.min(...indices)).toBe(0);
    expect(Math.max(...indices)).toBe(999);
    expect([...indices.slice(0, 3)]).toEqual([0, 617, 234]);
  });

  it('sum to something whose size is far from zero, so that agreement means something', () => {
    const { data } = arrayData(arrayOf('sum all')).operands[0] as { data: Float32Array };
    expect(Math.abs(data.reduce((sum, value) => sum + value, 0))).toBeGreaterThan(100);
  });
});

describe('convolution rows', () => {
  it('have an output as large as stride and padding say', () => {
    expect(convolutionResultShape(convolutionOf('3x3 forward'))).toEqual([32, 32, 28, 28]);
    expect(convolutionResultShape(convolutionOf('1x1 forward'))).toEqual([32, 32, 28, 28]);
    expect(convolutionResultShape(convolutionOf('3x3 stride 2 forward'))).toEqual([32, 32, 14, 14]);
  });

  it('have gradients as large as what they belong to', () => {
    for (const name of ['3x3', '1x1', 'depthwise 3x3', '3x3 stride 2']) {
      const { image, weight } = convolutionData(convolutionOf(`${name} forward`));
      expect(convolutionResultShape(convolutionOf(`${name} image gradient`)), name).toEqual(image.shape);
      expect(convolutionResultShape(convolutionOf(`${name} weight gradient`)), name).toEqual(weight.shape);
    }
  });

  it('count the channels that each filter sees', () => {
    const positions = 32 * 28 * 28;
    expect(rowNamed('3x3 weight gradient').workPerCall).toBeCloseTo(2 * positions * 32 * 16 * 9 * 1e-9, 12);
    expect(rowNamed('depthwise 3x3 forward').workPerCall).toBeCloseTo(2 * positions * 32 * 9 * 1e-9, 12);
    expect(rowNamed('3x3 stride 2 forward').workPerCall).toBeCloseTo((2 * positions * 32 * 16 * 9 * 1e-9) / 4, 12);
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
