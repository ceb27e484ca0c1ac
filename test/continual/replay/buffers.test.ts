/** What is kept, and what is drawn of it. */
import { describe, expect, it } from 'vitest';
import type { Batch } from '../../../src/continual/method.ts';
import { ContextBuffer } from '../../../src/continual/replay/context-buffer.ts';
import { choose, type Drawn } from '../../../src/continual/replay/examples.ts';
import { Reservoir } from '../../../src/continual/replay/reservoir.ts';
import type { Head } from '../../../src/data/scenarios.ts';
import { formatCheckpoint, restoreCheckpoint } from '../../../src/io/checkpoint.ts';
import { Generator } from '../../../src/random/generator.ts';
import { tensor } from '../../../src/tensor/create.ts';
import { context, examples, read } from './toy.ts';

/** Examples with these numbers: everything about an example tells its number. */
function numbered(
  numbers: readonly number[],
  head: Head = [0, 1000],
  of = 0,
): Batch & { output: ReturnType<typeof tensor> } {
  return {
    x: tensor(
      numbers.flatMap((n) => [n, -n]),
      [numbers.length, 2],
    ),
    labels: Int32Array.from(numbers),
    ...{ head, context: of },
    output: tensor(
      numbers.flatMap((n) => [n, 2 * n, 3 * n]),
      [numbers.length, 3],
    ),
  };
}

const upTo = (end: number, start = 0): number[] => Array.from({ length: end - start }, (_, i) => start + i);
const sorted = (numbers: Iterable<number>): number[] => [...numbers].sort((a, b) => a - b);
const labelsOf = (drawn: Drawn | null): number[] => [...drawn!.labels];

describe('a reservoir', () => {
  it('holds every example that it has seen with equal probability', () => {
    const [capacity, count, trials] = [20, 100, 600];
    const times = new Float64Array(count);
    for (let seed = 0; seed < trials; seed++) {
      const reservoir = new Reservoir({ capacity, generator: new Generator(seed) });
      // In batches that fill it, overrun it, and go by.
      for (const [from, to] of [
        [0, 7],
        [7, 40],
        [40, 41],
        [41, 100],
      ] as const)
        reservoir.add(numbered(upTo(to, from)));
      for (const label of reservoir.stateDict().store.labels) times[label]! += 1;
    }
    const expected = (trials * capacity) / count;
    const variance = expected * (1 - capacity / count);
    const chi2 = times.reduce((sum, n) => sum + (n - expected) ** 2 / variance, 0) * ((count - 1) / count);
    // 99 degrees of freedom: mean 99, standard deviation 14.
    expect(chi2).toBeGreaterThan(99 - 4 * 14);
    expect(chi2).toBeLessThan(99 + 4 * 14);
    // Neither the first nor the last are favoured.
    const half = times.slice(0, 50).reduce((sum, n) => sum + n, 0);
    expect(Math.abs(half / (trials * capacity) - 0.5)).toBeLessThan(0.02);
  });

  it('counts the example that comes among those that it chooses from', () => {
    const times = [0, 0, 0];
    for (let seed = 0; seed < 900; seed++) {
      const reservoir = new Reservoir({ capacity: 1, generator: new Generator(seed) });
      for (const n of [0, 1, 2]) reservoir.add(numbered([n]));
      times[reservoir.stateDict().store.labels[0]!]! += 1;
    }
    for (const n of times) expect(Math.abs(n - 300)).toBeLessThan(4 * Math.sqrt(900 * (1 / 3) * (2 / 3)));
  });

  it('holds all that came as long as there is room, then exactly as many as there is room for', () => {
    const reservoir = new Reservoir({ capacity: 5, generator: new Generator(1) });
    reservoir.add(numbered([1, 2, 3]));
    expect([...reservoir.stateDict().store.labels]).toEqual([1, 2, 3]);
    reservoir.add(numbered([4, 5]));
    expect([...reservoir.stateDict().store.labels]).toEqual([1, 2, 3, 4, 5]);
    for (let i = 6; i < 60; i++) {
      reservoir.add(numbered([i]));
      const { labels } = reservoir.stateDict().store;
      expect([labels.length, new Set(labels).size, reservoir.count, reservoir.seen]).toEqual([5, 5, 5, i]);
    }
    const { labels } = reservoir.stateDict().store;
    expect(Math.max(...labels)).toBeGreaterThan(5);
  });

  it('keeps what belongs to an example together', () => {
    const reservoir = new Reservoir({ capacity: 8, generator: new Generator(2) });
    for (let i = 0; i < 6; i++) {
      const batch = numbered(upTo(10 * i + 10, 10 * i), [i % 2, 500 + i], i);
      reservoir.add(batch, batch.output);
    }
    const drawn = reservoir.draw(8)!;
    const { store } = reservoir.stateDict();
    for (const [row, n] of drawn.labels.entries()) {
      expect(read(drawn.x).slice(2 * row, 2 * row + 2)).toEqual([n, n === 0 ? -0 : -n]);
      expect(read(drawn.logits).slice(3 * row, 3 * row + 3)).toEqual([n, 2 * n, 3 * n]);
      const of = Math.floor(n / 10);
      const { head } = drawn.groups.find(({ rows: [from, to] }) => from <= row && row < to)!;
      expect(head).toEqual([of % 2, 500 + of]);
      expect(store.contexts[store.labels.indexOf(n)]).toBe(of);
    }
    expect(drawn.groups.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12);
    expect(new Set(drawn.groups.map(({ head }) => String(head))).size).toBe(drawn.groups.length);
    expect(drawn.groups.length).toBeGreaterThan(2);
  });

  it('keeps inputs of any shape, from views too', () => {
    const reservoir = new Reservoir({ capacity: 2, generator: new Generator(1) });
    const x = tensor(upTo(12), [3, 2, 2]).transpose(0, 2);
    reservoir.add({ x, labels: Int32Array.of(0, 1), head: [0, 2], context: 0 });
    const drawn = reservoir.draw(2)!;
    expect(drawn.x.shape).toEqual([2, 2, 3]);
    const rows = drawn.x.toArray() as number[][][];
    expect(rows[labelsOf(drawn).indexOf(1)]).toEqual([
      [1, 5, 9],
      [3, 7, 11],
    ]);
  });

  it('draws each example at most once, all equally often, and all there are where more are asked for', () => {
    const reservoir = new Reservoir({ capacity: 10, generator: new Generator(3) });
    expect(reservoir.draw(4)).toBeNull();
    reservoir.add(numbered(upTo(10)));
    const times = new Float64Array(10);
    for (let i = 0; i < 1000; i++) {
      const labels = labelsOf(reservoir.draw(4));
      expect(new Set(labels).size).toBe(4);
      for (const label of labels) times[label]! += 1;
    }
    for (const n of times) expect(Math.abs(n - 400)).toBeLessThan(4 * Math.sqrt(1000 * 0.4 * 0.6));
    expect(sorted(labelsOf(reservoir.draw(99)))).toEqual(upTo(10));
  });

  it('goes on from a checkpoint as it would have gone on', () => {
    const make = () => new Reservoir({ capacity: 6, generator: new Generator(4) });
    const [one, other] = [make(), make()];
    const shown = numbered(upTo(20));
    one.add(shown, shown.output);
    one.draw(3);
    const bytes = formatCheckpoint({ algorithm: one });
    restoreCheckpoint(bytes, { algorithm: other });
    for (const reservoir of [one, other]) {
      const more = numbered(upTo(40, 20), [0, 50], 1);
      reservoir.add(more, more.output);
    }
    const [a, b] = [one.draw(4)!, other.draw(4)!];
    expect([read(b.x), b.labels, b.groups, read(b.logits)]).toEqual([read(a.x), a.labels, a.groups, read(a.logits)]);
    expect(other.stateDict()).toEqual(one.stateDict());
  });

  it('loads what was saved before anything came', () => {
    const [one, other] = [1, 2].map((seed) => new Reservoir({ capacity: 3, generator: new Generator(seed) })) as [
      Reservoir,
      Reservoir,
    ];
    other.add(numbered([1, 2]));
    other.loadStateDict(one.stateDict());
    expect([other.count, other.seen, other.draw(1)]).toEqual([0, 0, null]);
  });

  it('refuses a state of another capacity, and then is as it was', () => {
    const [large, small] = [9, 4].map((capacity) => new Reservoir({ capacity, generator: new Generator(4) })) as [
      Reservoir,
      Reservoir,
    ];
    large.add(numbered(upTo(9)));
    small.add(numbered([7]));
    const before = small.stateDict();
    expect(() => small.loadStateDict(large.stateDict())).toThrow(
      /reservoir of 4 that has seen 9 examples holds 4, not 9/,
    );
    const broken = { ...before, store: { ...before.store, inputs: new Float32Array(1) } };
    expect(() => small.loadStateDict(broken)).toThrow(/do not belong together/);
    expect(small.stateDict()).toEqual(before);
  });

  it('says what is out of range', () => {
    const generator = new Generator(1);
    for (const capacity of [0, -1, 2.5, Number.NaN])
      expect(() => new Reservoir({ capacity, generator })).toThrow(/Reservoir: capacity is a number of examples/);
    expect(() => new Reservoir({ capacity: 1 } as never)).toThrow(/generator, but none was given.*new Generator/);
    expect(() => new Reservoir({ capacity: 1, generator: Math.random as never })).toThrow(/it is function/);
    const reservoir = new Reservoir({ capacity: 4, generator });
    reservoir.add(numbered([1]), tensor([[1, 2]]));
    const other = { x: tensor([[1, 2, 3]]), labels: Int32Array.of(0), head: [0, 1] as const, context: 0 };
    expect(() => reservoir.add(other)).toThrow(/inputs of shape \[3\] came to a buffer of inputs of shape \[2\]/);
    expect(() => reservoir.add(numbered([1]), tensor([[1]]))).toThrow(/output of 1 columns.*outputs of 2/);
  });
});

describe('a buffer by class and context', () => {
  /** Examples first, first + 1, ...: of class 0 where the number is even, of class 1 where it is odd. */
  const parity = (first: number, count: number, head: Head = [0, 2], index = first / 100) => {
    const numbers = upTo(first + count, first);
    return context(
      index,
      examples(
        numbers.map((n) => [n]),
        numbers.map((n) => head[0] + (n % 2)),
      ),
      head,
    );
  };
  const make = (perClass: number, seed = 1) => new ContextBuffer({ perClass, generator: new Generator(seed) });
  const after = { context: 9, head: [0, 2] as const };

  it('keeps so many examples of each class of each context, and all of a class that has fewer', () => {
    const kept = make(3);
    kept.keep(parity(0, 20));
    kept.keep(parity(100, 5));
    expect(kept.count).toBe(6 + 3 + 2);
    const { x, labels } = kept.draw(11, after)!;
    const numbers = read(x);
    expect(new Set(numbers).size).toBe(11);
    expect([...labels]).toEqual(numbers.map((n) => n % 2));
    expect(sorted(numbers.filter((n) => n >= 100))).toHaveLength(5);
    for (const odd of [0, 1]) expect(numbers.filter((n) => n < 100 && n % 2 === odd)).toHaveLength(3);
  });

  it('chooses among the examples of a class with equal probability', () => {
    const times = new Float64Array(20);
    for (let seed = 0; seed < 500; seed++) {
      const kept = make(3, seed);
      kept.keep(parity(0, 20));
      for (const n of kept.stateDict().contexts[0]!.store.inputs) times[n]! += 1;
    }
    for (const n of times) expect(Math.abs(n - 150)).toBeLessThan(4 * Math.sqrt(500 * 0.3 * 0.7));
  });

  it('draws each example once in a pass, and leaves out what makes no whole batch', () => {
    const kept = make(5);
    kept.keep(parity(0, 10));
    let leftOut = 0;
    for (let pass = 0; pass < 20; pass++) {
      const numbers = [1, 2].flatMap(() => read(kept.draw(4, after)!.x));
      expect(new Set(numbers).size).toBe(8);
      if (!numbers.includes(0)) leftOut++;
    }
    expect(leftOut).toBeGreaterThan(0);
    expect(leftOut).toBeLessThan(15);
  });

  it('mixes contexts that share the present head, each as often as it has examples', () => {
    const kept = make(50);
    kept.keep(parity(0, 100));
    kept.keep(parity(100, 20));
    let second = 0;
    for (let i = 0; i < 400; i++) {
      const drawn = kept.draw(30, after)!;
      expect(drawn.labels).toHaveLength(30);
      const ofSecond = read(drawn.x).filter((n) => n >= 100).length;
      second += ofSecond;
      expect(drawn.groups.map(({ weight }) => weight * 30)).toEqual([30 - ofSecond, ofSecond].filter((n) => n > 0));
    }
    expect(second / (400 * 30)).toBeCloseTo(20 / 120, 2);
  });

  it('takes an equal part of each context, rounded up, where these have heads of their own', () => {
    const kept = make(50);
    kept.keep(parity(0, 100, [0, 2]));
    kept.keep(parity(100, 20, [2, 4]));
    kept.keep(parity(200, 4, [4, 6]));
    const drawn = kept.draw(20, { context: 3, head: [6, 8] })!;
    expect(drawn.groups).toEqual([
      { rows: [0, 7], head: [0, 2], weight: 1 / 3 },
      { rows: [7, 14], head: [2, 4], weight: 1 / 3 },
      { rows: [14, 18], head: [4, 6], weight: 1 / 3 },
    ]);
    const numbers = read(drawn.x);
    expect(numbers.map((n) => Math.floor(n / 100))).toEqual([
      ...Array(7).fill(0),
      ...Array(7).fill(1),
      ...Array(4).fill(2),
    ]);
    expect([...drawn.labels]).toEqual(numbers.map((n) => 2 * Math.floor(n / 100) + (n % 2)));
    // The rest of the pass over the 20 of the second context.
    const rest = read(kept.draw(20, { context: 3, head: [6, 8] })!.x).slice(7, 14);
    expect(new Set([...rest, ...numbers.slice(7, 14)]).size).toBe(14);
  });

  it('draws nothing of the present context, and of a context that is kept again only the new', () => {
    const kept = make(5);
    expect(kept.draw(4, after)).toBeNull();
    kept.keep(parity(0, 10));
    expect([kept.draw(4, { context: 0, head: [0, 2] }), kept.others(0), kept.others(1)]).toEqual([null, 0, 1]);
    kept.keep(parity(100, 10));
    expect(read(kept.draw(10, { context: 0, head: [0, 2] })!.x).every((n) => n >= 100)).toBe(true);
    kept.keep(parity(300, 10, [0, 2], 1));
    expect(kept.count).toBe(20);
    expect(sorted(read(kept.draw(20, after)!.x)).slice(10)).toEqual(upTo(310, 300));
    kept.keep(parity(500, 4, [0, 2], 1));
    expect(sorted(read(kept.draw(14, after)!.x)).slice(10)).toEqual(upTo(504, 500));
    expect(sorted(read(kept.draw(4, { context: 0, head: [0, 2] })!.x))).toEqual(upTo(504, 500));
  });

  it('goes on from a checkpoint as it would have gone on, in the middle of a pass', () => {
    for (const head of [
      [0, 2],
      [8, 9],
    ] as const) {
      const [one, other] = [make(4), make(4)];
      one.keep(parity(0, 30));
      one.keep(parity(100, 30));
      const present = { context: 2, head };
      one.draw(5, present);
      restoreCheckpoint(formatCheckpoint({ algorithm: one }), { algorithm: other });
      for (let i = 0; i < 6; i++) {
        const [a, b] = [one.draw(5, present)!, other.draw(5, present)!];
        expect([read(b.x), b.labels, b.groups]).toEqual([read(a.x), a.labels, a.groups]);
      }
      expect(other.stateDict()).toEqual(one.stateDict());
    }
  });

  it('says what is out of range', () => {
    expect(() => make(0)).toThrow(/ContextBuffer: perClass is a number of examples.*not 0/);
    expect(() => new ContextBuffer({ perClass: 1 } as never)).toThrow(/generator, but none was given/);
  });
});

it('choose gives each set of so many numbers with equal probability', () => {
  const generator = new Generator(5);
  const times = new Map<string, number>();
  for (let i = 0; i < 2000; i++) {
    const set = String(sorted(choose(2, 5, generator)));
    times.set(set, (times.get(set) ?? 0) + 1);
  }
  expect(times.size).toBe(10);
  for (const n of times.values()) expect(Math.abs(n - 200)).toBeLessThan(4 * Math.sqrt(2000 * 0.1 * 0.9));
  expect([sorted(choose(5, 5, generator)), [...choose(0, 5, generator)]]).toEqual([upTo(5), []]);
});
