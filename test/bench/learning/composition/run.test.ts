import { describe, expect, it } from 'vitest';
import { COMBINATIONS, combinationOf, compose } from '../../../../bench/learning/composition/combinations.ts';
import { plasticityOf, type RunSettings, runOne } from '../../../../bench/learning/composition/run.ts';
import { halvedData, openStream } from '../../../../bench/learning/composition/stream.ts';
import { mirrored, pointOf, RANGES, TUNING_POINTS } from '../../../../bench/learning/composition/tuning.ts';
import { Generator } from '../../../../src/index.ts';
import { imagesFolder, tiny } from './tiny.ts';

const timeless = async (told: RunSettings) => ({ ...(await runOne(told)), seconds: 0 });
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

describe('a run', () => {
  it('without a method knows the newest context, and forgets the others', async () => {
    const shares: number[] = [];
    const run = await runOne(tiny(), async (done) => void shares.push(done));
    expect(Math.min(...run.learned!)).toBeGreaterThan(0.9);
    expect(run.last).toHaveLength(4);
    expect(run.last[3]).toBe(run.learned![3]);
    expect(mean(run.last.slice(0, 3))).toBeLessThan(0.6);
    expect(run.average).toBeCloseTo(mean(run.last), 12);
    expect(run.remembered![0]).toBe(run.learned![0]);
    expect(run.remembered![3]).toBeCloseTo(run.average, 12);
    // Nothing was known better before it was learned, so the best time is mostly the first.
    expect(run.forgetting).toBeGreaterThanOrEqual(mean([0, 1, 2].map((j) => run.learned![j]! - run.last[j]!)));
    expect(run.plasticity).toEqual({ early: run.learned![0], late: run.learned![3] });
    expect(run).toMatchObject({ combination: 'none', settings: {}, seed: 1, contexts: 4, replaced: null });
    expect(run).not.toHaveProperty('data');
    expect(run.seconds).toBeGreaterThan(0);
    expect(shares.every((share) => share > 0 && share <= 1)).toBe(true);
  });

  it('gives the same bits for the same settings, and others for another seed', async () => {
    const all = { combination: 'all-protected', settings: { lambda: 1, rate: 1e-3, protect: 1, floor: 0.2 } };
    const told = tiny({ ...all, iterations: 70 });
    const run = await timeless(told);
    expect(await timeless(told)).toEqual(run);
    expect((await timeless({ ...told, seed: 2 })).remembered).not.toEqual(run.remembered);
  });

  it('starts from the same weights and sees the same batches whatever is put on the network', async () => {
    // Of these none has anything to do in the first context, which is shorter than the maturity of a unit.
    const data = imagesFolder();
    const [none, ...others] = await Promise.all(
      [
        { combination: 'none', settings: {} },
        { combination: 'ewc', settings: { lambda: 1e4 } },
        { combination: 'continual-backprop', settings: { rate: 1e-3 } },
        { combination: 'fresh', settings: {} },
      ].map((told) => runOne(tiny({ ...told, data, contexts: 3, iterations: 12 }))),
    );
    expect(none!.learned![0]).toBeGreaterThan(0.15);
    for (const { learned } of others) expect(learned![0]).toBe(none!.learned![0]);
    expect(others[0]!.learned).not.toEqual(none!.learned);
    // 36 steps, and no unit is as old as a hundred.
    expect(others[1]!.learned).toEqual(none!.learned);
    expect(others[2]!.learned).not.toEqual(none!.learned);
  });

  it('fresh begins anew with each context: what was learned before leaves no trace', async () => {
    const run = await runOne(tiny({ combination: 'fresh', contexts: 3, hidden: [24], iterations: 40 }));
    expect(Math.min(...run.learned!)).toBeGreaterThan(0.8);
    expect(mean(run.last.slice(0, 2))).toBeLessThan(0.4);
  });

  it('joint learns all contexts at once, for as many steps, and has no order to forget in', async () => {
    const run = await runOne(tiny({ combination: 'joint', iterations: 30 }));
    expect(run).toMatchObject({ learned: null, remembered: null, forgetting: null, plasticity: null });
    expect(run.last).toHaveLength(4);
    expect(run.average).toBeGreaterThan(0.85);
    // Five steps, as many as a context has, would not do.
    const short = await runOne(tiny({ combination: 'joint', contexts: 6, iterations: 5 }));
    expect(short.average).toBeGreaterThan(0.35);
  });

  it('with EWC or with closed gates remembers more than without', async () => {
    const data = imagesFolder();
    const [none, ewc, gates, open] = await Promise.all([
      runOne(tiny({ data })),
      runOne(tiny({ data, combination: 'ewc', settings: { lambda: 30 } })),
      runOne(tiny({ data, combination: 'confidence', settings: { floor: 0.03 } })),
      runOne(tiny({ data, combination: 'confidence', settings: { floor: 1 } })),
    ]);
    for (const other of [ewc, gates]) {
      expect(other!.average).toBeGreaterThan(none!.average + 0.03);
      expect(other!.forgetting).toBeLessThan(none!.forgetting! - 0.1);
    }
    expect(gates!.forgetting).toBeLessThan(open!.forgetting! - 0.1);
  });

  it('counts the units that continual backprop replaces: the rate of those that are old enough', async () => {
    const told = tiny({ combination: 'continual-backprop', settings: { rate: 1e-3 }, iterations: 150 });
    const { replaced } = await runOne(told);
    // 40 units, 600 steps; each is safe for the first hundred.
    expect(replaced).toBeGreaterThan(12);
    expect(replaced).toBeLessThanOrEqual(20);
  });

  it('lets continual backprop see what EWC holds only where it is protected', async () => {
    const told = tiny({ iterations: 120, settings: { lambda: 10, rate: 2e-3 }, combination: 'ewc+continual-backprop' });
    const protectedRun = (protect: number) =>
      timeless({ ...told, combination: 'ewc+continual-backprop-protected', settings: { ...told.settings, protect } });
    const [open, weak, strong] = [await timeless(told), await protectedRun(0), await protectedRun(1000)];
    expect(weak.last).toEqual(open.last);
    expect(strong.remembered).not.toEqual(open.remembered);
    expect(strong.replaced).toBe(open.replaced);
  });

  it('says which share of the hidden units is dead at the end', async () => {
    expect((await runOne(tiny({ hidden: [24], iterations: 1, contexts: 2, lr: 1e-6 }))).dead).toBeLessThan(0.4);
    expect((await runOne(tiny({ hidden: [24], iterations: 6, contexts: 2, lr: 1e4 }))).dead).toBeGreaterThan(0.7);
  });

  it('takes the first and the last sixth for early and late, and one context at least', () => {
    expect(plasticityOf([1, 0.5, 0.2])).toEqual({ early: 1, late: 0.2 });
    const twelve = Array.from({ length: 12 }, (_, i) => i);
    expect(plasticityOf(twelve)).toEqual({ early: 0.5, late: 10.5 });
  });
});

describe('combinations', () => {
  it('have one name each, and run with what they are made of', async () => {
    expect(new Set(COMBINATIONS.map(({ name }) => name)).size).toBe(COMBINATIONS.length);
    expect(() => combinationOf('magic')).toThrow("There is no combination 'magic'.");
    const data = imagesFolder();
    for (const { name, strengths } of COMBINATIONS) {
      const run = await runOne(
        tiny({ ...{ data, combination: name, settings: strengths, contexts: 2, iterations: 3, hidden: [8] } }),
      );
      expect(run.last.every((accuracy) => accuracy >= 0 && accuracy <= 1)).toBe(true);
      expect(run.replaced === null).toBe(strengths.rate === undefined);
    }
  });

  it('have the methods whose strengths they have, in one order', () => {
    const namesOf = (name: string) =>
      compose(combinationOf(name).strengths, new Generator(1)).methods.map((method) => method.name);
    const [ewc, resets, gates] = ['onlineEwc', 'continualBackprop', 'confidence'];
    expect(Object.fromEntries(COMBINATIONS.map(({ name }) => [name, namesOf(name)]))).toEqual({
      ...{ none: [], fresh: [], joint: [], ewc: [ewc], 'continual-backprop': [resets], confidence: [gates] },
      ...{ 'ewc+continual-backprop': [ewc, resets], 'ewc+continual-backprop-protected': [ewc, resets] },
      ...{ 'ewc+confidence': [ewc, gates], 'continual-backprop+confidence': [resets, gates] },
      ...{ all: [ewc, resets, gates], 'all-protected': [ewc, resets, gates] },
    });
  });

  it('have strengths that are among the points that were tried', () => {
    for (const combination of COMBINATIONS) {
      const tried = Array.from({ length: TUNING_POINTS }, (_, i) => pointOf(combination, i));
      expect(tried).toContainEqual(combination.strengths);
    }
  });
});

describe('the points of tuning', () => {
  it('mirror the digits of a number at the point', () => {
    expect([1, 2, 3, 4].map((number) => mirrored(number, 2))).toEqual([0.5, 0.25, 0.75, 0.125]);
    // 5 is 12 in base 3: 2/3 + 1/9.
    expect(mirrored(5, 3)).toBeCloseTo(7 / 9, 12);
  });

  it('have the strengths of the combination, within their ranges, spread over the logarithm', () => {
    // Halves, thirds, fifths and sevenths of the way.
    expect(pointOf(combinationOf('all-protected'), 0)).toEqual({ lambda: 3.2, rate: 1e-5, protect: 0.4, floor: 0.05 });
    expect(pointOf(combinationOf('ewc+confidence'), 0)).toEqual({ lambda: 3.2, floor: 0.05 });
    expect(pointOf(combinationOf('none'), 0)).toEqual({});
    for (let i = 0; i < 40; i++)
      for (const [name, value] of Object.entries(pointOf(combinationOf('all-protected'), i))) {
        const [from, to] = RANGES[name as keyof typeof RANGES];
        expect(value).toBeGreaterThanOrEqual(from);
        expect(value).toBeLessThanOrEqual(to);
      }
  });
});

describe('the stream', () => {
  const images = (count: number, height: number, width: number, pixel: (at: number) => number) => ({
    ...{ count, height, width, labels: Uint8Array.from({ length: count }, (_, i) => i % 10) },
    pixels: Uint8Array.from({ length: count * height * width }, (_, at) => pixel(at)),
  });

  it('has images of half the size, each pixel the mean of four; what an odd side has beyond is left out', () => {
    const train = images(2, 3, 4, (at) => at);
    const data = halvedData({ name: '', train, test: train });
    expect(data.shape).toEqual([2]);
    expect([...Array.from(data.train.inputs)]).toEqual([2.5, 4.5, 14.5, 16.5]);
    expect(data.scale).toBe(1 / 255);
    expect(() => halvedData({ name: '', train: images(2, 1, 4, () => 0), test: train })).toThrow(
      '--data: images of 1 x 4 pixels cannot be halved; they need 2 x 2 at least.',
    );
  });

  it('asks about a thousand test images, taken from all of the set, and learns from all training images', () => {
    const data = halvedData({
      ...{ name: '', train: images(3500, 2, 2, () => 0) },
      test: images(3500, 2, 2, (at) => Math.floor(at / 4) % 256),
    });
    expect(data.train.labels).toHaveLength(3500);
    expect(data.test.labels).toHaveLength(1166);
    expect([0, 1, 2, 100].map((i) => [data.test.inputs[i], data.test.labels[i]])).toEqual([
      [0, 0],
      [3, 3],
      [6, 6],
      [44, 0],
    ]);
  });

  it('permutes pixels in a way of its own in each context and for each seed, and is never told which', async () => {
    const data = imagesFolder();
    const [stream, other] = [await openStream(data, 3, 1), await openStream(data, 3, 2)];
    expect(stream).toMatchObject({ kind: 'domain', outputs: 10, inputShape: [48] });
    const image = (of: typeof stream, context: number) => of.contexts[context]!.test.inputs([5]).toFloat32Array();
    const all = [image(stream, 0), image(stream, 1), image(stream, 2), image(other, 0)];
    expect(new Set(all.map(String)).size).toBe(4);
    expect(new Set(all.map((x) => String([...x].sort((a, b) => a - b)))).size).toBe(1);
  });
});
