import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ClassificationStream,
  labelPermutedStream,
  permutedStream,
  type RegressionStream,
  rotatedStream,
  type StreamData,
  slowlyChangingRegression,
} from '../../src/data/streams.ts';

function regression(stream: RegressionStream, start: number, count: number): { x: number[][]; y: number[] } {
  const [inputs, targets] = [new Float32Array(count * stream.size), new Float32Array(count)];
  stream.fill(start, inputs, targets);
  return { x: rowsOf(inputs, stream.size), y: [...targets] };
}

function examples(stream: ClassificationStream, start: number, count: number): { x: number[][]; y: number[] } {
  const [inputs, labels] = [new Float32Array(count * stream.size), new Int32Array(count)];
  stream.fill(start, inputs, labels);
  return { x: rowsOf(inputs, stream.size), y: [...labels] };
}

const rowsOf = (numbers: Float32Array, size: number): number[][] =>
  Array.from({ length: numbers.length / size }, (_, i) => [...numbers.subarray(i * size, (i + 1) * size)]);

const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b);
const differences = (a: readonly number[], b: readonly number[]): number =>
  a.filter((value, i) => value !== b[i]).length;

describe('slowly changing regression', () => {
  it('flips one slow bit at each change and no other, and draws the rest at each step', () => {
    const stream = slowlyChangingRegression({ seed: 4, changeEvery: 50 });
    const { x } = regression(stream, 0, 50 * 40);
    const flipped = new Set<number>();
    for (let n = 1; n < x.length; n++) {
      const [before, now] = [x[n - 1]!.slice(0, 15), x[n]!.slice(0, 15)];
      expect(differences(before, now)).toBe(n % 50 === 0 ? 1 : 0);
      if (n % 50 === 0) flipped.add(now.findIndex((bit, i) => bit !== before[i]));
    }
    expect(flipped.size).toBeGreaterThan(8);
    for (let bit = 15; bit < 20; bit++) {
      const ones = x.filter((row) => row[bit] === 1).length;
      expect(Math.abs(ones - 1000)).toBeLessThan(100);
      expect(
        differences(
          x.slice(1).map((row) => row[bit]!),
          x.map((row) => row[bit]!),
        ),
      ).toBeGreaterThan(900);
    }
    const patterns = new Set(x.map((row) => row.slice(15).join('')));
    expect(patterns.size).toBe(32);
    expect(new Set(x.flat())).toEqual(new Set([0, 1]));
  });

  it('draws all slow bits anew where all change', () => {
    const stream = slowlyChangingRegression({ seed: 4, changeEvery: 10, change: 'all' });
    const slow = Array.from({ length: 200 }, (_, task) => regression(stream, 10 * task, 1).x[0]!.slice(0, 15));
    const changed = slow.slice(1).map((bits, i) => differences(bits, slow[i]!));
    const mean = changed.reduce((a, b) => a + b) / changed.length;
    expect(mean).toBeGreaterThan(7);
    expect(mean).toBeLessThan(8);
  });

  it('is a function of the seed and the step, however it is read', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('one' as const, 'all' as const),
        fc.constantFrom([6, 4], [20, 15], [40, 0], [5, 5], [30, 10]),
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 20 })), { maxLength: 6 }),
        (change, [inputs, slowBits], changeEvery, reads) => {
          const options = { seed: 9, inputs: inputs!, slowBits: slowBits!, changeEvery, change, targetUnits: 30 };
          const whole = regression(slowlyChangingRegression(options), 0, 80);
          const stream = slowlyChangingRegression(options);
          for (const [start, count] of reads) {
            const { x, y } = regression(stream, start, count);
            expect(x).toEqual(whole.x.slice(start, start + count));
            expect(y).toEqual(whole.y.slice(start, start + count));
          }
        },
      ),
      { seed: 20261120, numRuns: 60 },
    );
  });

  it('has one target an input, whatever the task and the step, and other targets for another seed', () => {
    const stream = slowlyChangingRegression({ seed: 2, inputs: 4, slowBits: 2, changeEvery: 5, targetUnits: 20 });
    const { x, y } = regression(stream, 0, 600);
    const targets = new Map<string, Set<number>>();
    for (const [i, row] of x.entries()) targets.set(row.join(''), (targets.get(row.join('')) ?? new Set()).add(y[i]!));
    expect(targets.size).toBe(16);
    for (const seen of targets.values()) expect(seen.size).toBe(1);
    const other = slowlyChangingRegression({ seed: 3, inputs: 4, slowBits: 2, changeEvery: 5, targetUnits: 20 });
    expect(regression(other, 0, 600).y).not.toEqual(y);
  });

  it('gives the target of threshold units with weights and biases of +-1', () => {
    // One input bit and one unit: w x + b > 2 beta - (1 - w + b) / 2 decides between v + c and c, all of them +-1. With 0.75
    // both sides may be equal, and the unit is silent.
    for (const beta of [0.7, 0.75]) {
      const possible = new Set<string>();
      for (const w of [-1, 1])
        for (const b of [-1, 1])
          for (const v of [-1, 1])
            for (const c of [-1, 1])
              possible.add([0, 1].map((x) => (w * x + b > 2 * beta - (1 - w + b) / 2 ? v : 0) + c).join());
      const found = new Set<string>();
      for (let seed = 0; seed < 60; seed++) {
        const stream = slowlyChangingRegression({ seed, inputs: 1, slowBits: 0, targetUnits: 1, beta });
        const { x, y } = regression(stream, 0, 40);
        found.add([0, 1].map((bit) => y[x.findIndex((row) => row[0] === bit)]).join());
      }
      expect(found).toEqual(possible);
    }
  });

  it('draws each of many random bits by itself', () => {
    const { x } = regression(slowlyChangingRegression({ seed: 1, inputs: 70, slowBits: 0 }), 0, 64);
    expect(new Set(Array.from({ length: 70 }, (_, bit) => x.map((row) => row[bit]).join(''))).size).toBe(70);
  });

  it('has targets of the published spread', () => {
    // 100 units, of which each fires on some inputs only: never beyond 101, seldom beyond a few tens.
    const { y } = regression(slowlyChangingRegression({ seed: 1, changeEvery: 10 }), 0, 20_000);
    expect(y.every((target) => Number.isInteger(target) && Math.abs(target) <= 101)).toBe(true);
    const mean = y.reduce((a, b) => a + b) / y.length;
    const variance = y.reduce((a, b) => a + (b - mean) ** 2, 0) / y.length;
    expect(variance).toBeGreaterThan(0.5);
    expect(variance).toBeLessThan(20);
  });

  it('refuses what makes no stream, in a sentence', () => {
    expect(() => slowlyChangingRegression({ seed: 0.5 })).toThrow(/seed must be an integer/);
    expect(() => slowlyChangingRegression({ seed: 1, inputs: 3, slowBits: 4 })).toThrow(
      /slowBits must be an integer from 0 to 3, but it is 4/,
    );
    expect(() => slowlyChangingRegression({ seed: 1, change: 'two' as 'one' })).toThrow(
      /change must be 'one' or 'all'/,
    );
    expect(() => slowlyChangingRegression({ seed: 1, beta: Number.NaN })).toThrow(/beta/);
    const stream = slowlyChangingRegression({ seed: 1 });
    expect(() => stream.fill(-1, new Float32Array(20), new Float32Array(1))).toThrow(
      /start must be an integer from 0 up/,
    );
    expect(() => stream.fill(0, new Float32Array(21), new Float32Array(1))).toThrow(
      /1 x 20 input numbers, but the array for them holds 21/,
    );
    stream.fill(3, new Float32Array(0), new Float32Array(0));
  });
});

/** Input i is [10 i, 10 i + 1, ...]. */
const numbered = (count: number, size: number, classes = 3): StreamData => ({
  inputs: Array.from({ length: count * size }, (_, i) => 10 * Math.floor(i / size) + (i % size)),
  labels: Array.from({ length: count }, (_, i) => i % classes),
});

const makers = {
  permuted: (data: StreamData, seed: number, task: { epochs: number } | { steps: number }) =>
    permutedStream(data, { seed, task }),
  'label-permuted': (data: StreamData, seed: number, task: { epochs: number } | { steps: number }) =>
    labelPermutedStream(data, { seed, task }),
  rotated: (data: StreamData, seed: number, task: { epochs: number } | { steps: number }) =>
    rotatedStream(data, { seed, task, height: 2, width: 3 }),
};

describe.each(Object.entries(makers))('a %s stream', (_, make) => {
  const data = numbered(7, 6);

  it('is a function of the seed and the step, however it is read', () => {
    for (const task of [{ epochs: 2 }, { steps: 4 }]) {
      const whole = examples(make(data, 5, task), 0, 60);
      const stream = make(data, 5, task);
      for (const [start, count] of [
        [50, 10],
        [0, 1],
        [13, 30],
        [12, 2],
        [0, 60],
      ] as const) {
        const { x, y } = examples(stream, start, count);
        expect(x).toEqual(whole.x.slice(start, start + count));
        expect(y).toEqual(whole.y.slice(start, start + count));
      }
      expect(examples(make(data, 6, task), 0, 60)).not.toEqual(whole);
    }
  });

  it('refuses data and tasks that do not fit, in a sentence', () => {
    expect(() => make(data, 1, { steps: 8 })).toThrow(/at most once\) must be an integer from 1 to 7, but it is 8/);
    expect(() => make(data, 1, { epochs: 0 })).toThrow(/task.epochs must be an integer from 1 up/);
    expect(() => make({ inputs: [], labels: [] }, 1, { epochs: 1 })).toThrow(/input numbers|numbers/);
    expect(() => make({ inputs: data.inputs, labels: [0, 1, 2] }, 1, { epochs: 1 })).not.toThrow(/undefined/);
    expect(() => make({ ...data, labels: [0, 1, 2, 0, 1, 2, -1] }, 1, { epochs: 1 })).toThrow(
      /label 6 must be an integer from 0/,
    );
  });
});

describe('a permuted stream', () => {
  it('permutes all inputs of a task in one way and those of the next in another', () => {
    const stream = permutedStream(numbered(5, 8), { seed: 3 });
    expect([stream.size, stream.taskLength, stream.classes]).toEqual([8, 5, 3]);
    const orders = [0, 1, 2].map((task) => {
      const { x, y } = examples(stream, 5 * task, 5);
      const places = x.map((row) => row.map((value) => value % 10));
      for (const order of places) expect(order).toEqual(places[0]);
      expect(sorted(places[0]!)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      // Inputs keep their labels.
      for (const [i, row] of x.entries()) expect(y[i]).toBe(Math.floor(row[0]! / 10) % 3);
      return places[0]!.join('');
    });
    expect(new Set(orders).size).toBe(3);
  });

  it('comes through all of the data once an epoch, in another order each time', () => {
    const stream = permutedStream(numbered(6, 2), { seed: 3, task: { epochs: 3 } });
    expect(stream.taskLength).toBe(18);
    const { x } = examples(stream, 0, 36);
    const epochs = Array.from({ length: 6 }, (_, e) =>
      x.slice(6 * e, 6 * e + 6).map((row) => Math.floor(row[0]! / 10)),
    );
    for (const epoch of epochs) expect(sorted(epoch)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(new Set(epochs.map(String)).size).toBe(6);
  });

  it('shows an example of an online task at most once', () => {
    const stream = permutedStream(numbered(10, 2), { seed: 3, task: { steps: 6 } });
    const seen = [0, 1, 2].map((task) => examples(stream, 6 * task, 6).x.map((row) => Math.floor(row[0]! / 10)));
    for (const task of seen) expect(new Set(task).size).toBe(6);
    expect(new Set(seen.flat()).size).toBeGreaterThan(6);
  });
});

describe('a label-permuted stream', () => {
  it('renames the classes of a task in one way and leaves inputs as they are', () => {
    const stream = labelPermutedStream(numbered(20, 2, 5), { seed: 1 });
    const namings = [0, 1, 2, 3].map((task) => {
      const { x, y } = examples(stream, 20 * task, 20);
      const names = new Map<number, number>();
      x.forEach((row, i) => {
        expect(row[1]).toBe(row[0]! + 1);
        const label = (row[0]! / 10) % 5;
        expect(names.get(label) ?? y[i]).toBe(y[i]);
        names.set(label, y[i]!);
      });
      expect(sorted([...names.values()])).toEqual([0, 1, 2, 3, 4]);
      return [0, 1, 2, 3, 4].map((label) => names.get(label)).join('');
    });
    expect(new Set(namings).size).toBe(4);
  });
});

describe('a rotated stream', () => {
  const image = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const data = { inputs: image, labels: [0] };

  it('turns task k by k times the angle, counterclockwise', () => {
    const stream = rotatedStream(data, { seed: 1, height: 3, width: 3, degrees: 90 });
    const turned = [0, 1, 2, 3, 4].map((task) =>
      examples(stream, task, 1).x[0]!.map((value) => Math.round(value * 1e6) / 1e6),
    );
    expect(turned).toEqual([
      image,
      [3, 6, 9, 2, 5, 8, 1, 4, 7],
      [9, 8, 7, 6, 5, 4, 3, 2, 1],
      [7, 4, 1, 8, 5, 2, 9, 6, 3],
      image,
    ]);
  });

  it('interpolates between pixels, with zeros outside', () => {
    // 45 degrees: the middle of the first row shows what lies sqrt(1/2) up and right of the centre.
    const stream = rotatedStream(data, { seed: 1, height: 3, width: 3, degrees: 45 });
    const s = Math.SQRT1_2;
    const turned = examples(stream, 1, 1).x[0]!;
    expect(turned[1]).toBeCloseTo((1 - s) * (1 - s) * 5 + s * (1 - s) * 2 + (1 - s) * s * 6 + s * s * 3, 5);
    expect(turned[4]).toBe(5);
    // The corner is sqrt(2) away from the centre, straight up or to the right: partly outside.
    expect(turned[2]).toBeCloseTo((2 - Math.SQRT2) * 6, 5);
  });

  it('draws all angles, a new one for each task, that keep the length of what lies near the centre', () => {
    const stream = rotatedStream(
      { inputs: [0, 0, 0, 0, 0, 1, 0, 0, 0], labels: [0] },
      { seed: 2, height: 3, width: 3 },
    );
    const quarters = [0, 0, 0, 0];
    for (let task = 0; task < 200; task++) {
      const x = examples(stream, task, 1).x[0]!;
      const [up, left, right, down] = [x[1]!, x[3]!, x[5]!, x[7]!];
      const direction = Math.atan2(up - down, right - left);
      const quarter = Math.floor(((direction + 2 * Math.PI) % (2 * Math.PI)) / (Math.PI / 2)) % 4;
      quarters[quarter] = quarters[quarter]! + 1;
    }
    for (const count of quarters) expect(Math.abs(count - 50)).toBeLessThan(25);
  });

  it('needs the sides of its images', () => {
    expect(() => rotatedStream(data, { seed: 1, height: 2, width: 3 })).toThrow(
      /1 images of 2 x 3 pixels have 6 numbers, but there are 9/,
    );
    expect(() => rotatedStream(data, { seed: 1, height: 3, width: 3, degrees: Infinity })).toThrow(/degrees/);
  });
});
