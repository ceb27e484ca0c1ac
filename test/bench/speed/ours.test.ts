/** Our own side of every row runs, and gives as many numbers as the row wants; of single operations also the right first one. */
import { describe, expect, it } from 'vitest';
import { loadOurs } from '../../../bench/speed/ours.ts';
import { type ArrayOperation, type ArrayTask, arrayData, arrayResultSize } from '../../../bench/speed/rows/arrays.ts';
import { type Chain, chainData, type Link } from '../../../bench/speed/rows/chains.ts';
import { type Convolution, convolutionData, convolutionResultShape } from '../../../bench/speed/rows/convolutions.ts';
import { elementCount } from '../../../bench/speed/rows/numbers.ts';
import { type Row, rows, type Task } from '../../../bench/speed/rows.ts';

const ours = loadOurs();

/** How many numbers come out; null for the loss of a training step. */
function resultSize(task: Task): number | null {
  switch (task.kind) {
    case 'product':
      return (task.batch ?? 1) * task.m * task.n;
    case 'training':
      return null;
    case 'array':
      return arrayResultSize(task);
    case 'convolution':
      return elementCount(convolutionResultShape(task));
    case 'chain':
      return task.size;
    case 'start':
      return task.size ** 2;
  }
}

/** Our start needs the library built: test/bench/speed/starts.test.ts has its parts. */
const runnable = rows.filter(({ task }) => task.kind !== 'start');

/** The first number of what an operation gives, by plain arithmetic. */
const firstNumber: Readonly<Record<ArrayOperation, (operands: Float32Array[], task: ArrayTask) => number>> = {
  add: ([x, y]) => at(x, 0) + at(y, 0),
  exp: ([x]) => Math.exp(at(x, 0)),
  tanh: ([x]) => Math.tanh(at(x, 0)),
  sigmoid: ([x]) => 1 / (1 + Math.exp(-at(x, 0))),
  softmax: ([x]) => Math.exp(at(x, 0)) / sum(firstRow(x).map(Math.exp)),
  logSoftmax: ([x]) => at(x, 0) - Math.log(sum(firstRow(x).map(Math.exp))),
  layerNorm: ([x, weight, bias]) => {
    const row = firstRow(x);
    const mean = sum(row) / row.length;
    const variance = sum(row.map((value) => (value - mean) ** 2)) / row.length;
    return ((at(x, 0) - mean) / Math.sqrt(variance + 1e-5)) * at(weight, 0) + at(bias, 0);
  },
  sum: ([x], task) => sum(firstReduced(x, task)),
  max: ([x], task) => firstReduced(x, task).reduce((most, value) => Math.max(most, value)),
  transpose: ([x]) => at(x, 0),
  cat: ([x]) => at(x, 0),
  gather: ([x]) => at(x, 0),
};

const links: Readonly<Record<Link, (x: number, operand: number) => number>> = {
  add: (x, operand) => x + operand,
  sub: (x, operand) => x - operand,
  mul: (x, operand) => x * operand,
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  exp: Math.exp,
};

const dot = (a: Float32Array, b: Float32Array) => a.reduce((total, value, i) => total + value * at(b, i), 0);
const at = (numbers: Float32Array | undefined, index: number) => numbers?.[index] ?? Number.NaN;
const sum = (numbers: readonly number[]) => numbers.reduce((total, value) => total + value, 0);
const firstRow = (numbers: Float32Array | undefined) => [...(numbers ?? []).slice(0, 1000)];

/** The numbers that come together in the first number of a reduction. */
function firstReduced(numbers: Float32Array | undefined, { shapes, axis }: ArrayTask): number[] {
  if (axis === null) return [...(numbers ?? [])];
  const shape = shapes[0] ?? [];
  const stride = elementCount(shape.slice(axis + 1));
  return Array.from({ length: shape[axis] ?? 0 }, (_, i) => at(numbers, i * stride));
}

describe('our side', () => {
  it.each(runnable.map((row): [string, Row] => [row.name, row]))('runs: %s', (_, row) => {
    const workload = ours.prepare(row);
    const result = workload.run();
    workload.dispose();
    const wanted = resultSize(row.task);
    if (typeof result === 'number') {
      expect(wanted).toBeNull();
      expect(Number.isFinite(result)).toBe(true);
      return;
    }
    expect(result).toHaveLength(wanted as number);
    expect(result.findIndex((value) => !Number.isFinite(value))).toBe(-1);
    if (row.task.kind !== 'array') return;
    const operands = arrayData(row.task).operands.map(({ data }) => data);
    const expected = firstNumber[row.task.operation](operands, row.task);
    expect(Math.abs((result[0] as number) - expected)).toBeLessThan(1e-5 * Math.max(1, Math.abs(expected)));
  });

  it('gives the same numbers in the second call as in the first', () => {
    for (const name of ['10 ops and backward', '1x1 image gradient', 'softmax', 'transpose']) {
      const workload = ours.prepare(rows.find((row) => row.name === name) as Row);
      const first = (workload.run() as Float32Array).slice();
      const second = workload.run() as Float32Array;
      expect(
        first.findIndex((value, index) => value !== second[index]),
        name,
      ).toBe(-1);
      workload.dispose();
    }
  });

  it('runs a chain as plain arithmetic does, and gives its derivative', () => {
    const chains = rows.filter(({ task }) => task.kind === 'chain');
    expect(chains).toHaveLength(3);
    for (const row of chains) {
      const task = row.task as Chain;
      const { input, operand } = chainData(task);
      const result = ours.prepare(row).run() as Float32Array;
      const f = (x: number) => task.links.reduce((value, link) => links[link](value, at(operand.data, 3)), x);
      const x = at(input.data, 3);
      const expected = task.backward ? (f(x + 1e-4) - f(x - 1e-4)) / 2e-4 : f(x);
      expect(Math.abs(at(result, 3) - expected), row.name).toBeLessThan(1e-5);
    }
  });

  it('computes the three parts of a convolution from one bilinear form: slope . (image * weight)', () => {
    for (const geometry of ['3x3', '1x1', 'depthwise 3x3', '3x3 stride 2']) {
      const part = (name: string) => rows.find((row) => row.name === `${geometry} ${name}`) as Row;
      const { image, weight, slope } = convolutionData(part('forward').task as Convolution);
      const value = (name: string, other: Float32Array) => dot(ours.prepare(part(name)).run() as Float32Array, other);
      const form = value('forward', slope.data);
      expect(Math.abs(form), geometry).toBeGreaterThan(1);
      expect(value('image gradient', image.data) / form, geometry).toBeCloseTo(1, 3);
      expect(value('weight gradient', weight.data) / form, geometry).toBeCloseTo(1, 3);
    }
  });

  it('copies a transposed matrix into its new order', () => {
    const row = rows.find(({ name }) => name === 'transpose') as Row;
    const data = arrayData(row.task as ArrayTask).operands[0]?.data ?? [];
    const result = ours.prepare(row).run() as Float32Array;
    expect([result[1], result[2003]]).toEqual([data[1000], data[3002]]);
  });
});
