import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultGenerator, Generator, manualSeed } from '../../src/random/generator.ts';

const safeInteger = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
const take = <T>(count: number, draw: () => T): T[] => Array.from({ length: count }, draw);

/** Count, mean, variance, skewness and excess kurtosis. */
function moments(values: ArrayLike<number>) {
  const n = values.length;
  let mean = 0;
  for (let i = 0; i < n; i++) mean += values[i]! / n;
  const central = (power: number) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += (values[i]! - mean) ** power;
    return sum / n;
  };
  const variance = central(2);
  return { mean, variance, skewness: central(3) / variance ** 1.5, kurtosis: central(4) / variance ** 2 - 3 };
}

describe('Generator', () => {
  it('gives these bits for these seeds, for ever', () => {
    expect(new Generator(0).uniform()).toBe(((0x6b200159 >>> 5) * 2 ** 26 + (0x99ba4efe >>> 6)) * 2 ** -53);
    const generator = new Generator(-1234567890123);
    expect([
      generator.uniform(),
      generator.normal(),
      generator.integer(1000),
      generator.uniform(),
    ]).toMatchInlineSnapshot(`
      [
        0.685087577108414,
        0.9463235073076603,
        443,
        0.8482310464751932,
      ]
    `);
    expect(Array.from(new Generator(42).permutation(12))).toMatchInlineSnapshot(`
      [
        2,
        11,
        5,
        8,
        4,
        7,
        3,
        6,
        9,
        1,
        10,
        0,
      ]
    `);
  });

  it('continues from a saved state as if nothing had happened, also through JSON', () => {
    fc.assert(
      fc.property(safeInteger, fc.nat(20), (seed, drawn) => {
        const original = new Generator(seed);
        for (let i = 0; i < drawn; i++) original.uniform();
        const resumed = new Generator(0);
        resumed.setState(JSON.parse(JSON.stringify(original.state)));
        expect(take(5, () => resumed.normal())).toEqual(take(5, () => original.normal()));
      }),
    );
  });

  it('uses all of the seed and all of the counter', () => {
    const first = (seed: number, counter: number) => {
      const generator = new Generator(0);
      generator.setState({ seed, counter });
      return generator.uniform();
    };
    const seeds = [0, 1, -1, 2 ** 32, 2 ** 32 + 1, -(2 ** 32), 2 ** 52, 2 ** 53 - 1, -(2 ** 53 - 1)];
    const counters = [0, 1, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 52];
    const values = seeds.flatMap((seed) => counters.map((counter) => first(seed, counter)));
    expect(new Set(values).size).toBe(values.length);
  });

  it('carries on over the border of the low counter word', () => {
    const generator = new Generator(9);
    generator.setState({ seed: 9, counter: 2 ** 32 - 1 });
    generator.uniform();
    expect(generator.state).toEqual({ seed: 9, counter: 2 ** 32 });
  });

  it.each([0.5, NaN, Infinity, 2 ** 53])('refuses %d as a seed', (seed) => {
    expect(() => new Generator(seed)).toThrow(/seed must be an integer/);
  });

  it('refuses a state that is none', () => {
    expect(() => new Generator(1).setState({ seed: 1, counter: -1 })).toThrow(/counter of a state/);
  });
});

describe('uniform and fillUniform', () => {
  it('have the moments of the uniform distribution', () => {
    const generator = new Generator(1);
    const { mean, variance, kurtosis } = moments(take(100_000, () => generator.uniform()));
    expect(Math.abs(mean - 1 / 2)).toBeLessThan(0.004);
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.002);
    expect(Math.abs(kurtosis + 6 / 5)).toBeLessThan(0.03);
  });

  it('fill evenly: chi-squared over 256 cells', () => {
    const cells = new Float64Array(256);
    const values = new Float32Array(256 * 400);
    new Generator(2).fillUniform(values);
    for (const value of values) cells[Math.floor(value * 256)]! += 1;
    const chiSquared = cells.reduce((sum, count) => sum + (count - 400) ** 2 / 400, 0);
    // 255 degrees of freedom: mean 255, standard deviation 22.6.
    expect(Math.abs(chiSquared - 255)).toBeLessThan(4 * 22.6);
  });

  it('stay below 1 in float32, and within their bounds', () => {
    const values = new Float32Array(50_000);
    new Generator(3).fillUniform(values);
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
    new Generator(3).fillUniform(values, -3, 5);
    expect(values.every((value) => value >= -3 && value <= 5)).toBe(true);
  });

  it('fill in two parts what they fill in one', () => {
    const whole = new Float32Array(10);
    new Generator(4).fillUniform(whole);
    const parts = new Float32Array(10);
    const generator = new Generator(4);
    generator.fillUniform(parts.subarray(0, 3));
    generator.fillUniform(parts.subarray(3));
    expect(parts).toEqual(whole);
  });

  it('refuse bounds that are none', () => {
    expect(() => new Generator(0).fillUniform(new Float32Array(1), 2, 1)).toThrow(/low at most high/);
    expect(() => new Generator(0).fillUniform(new Float32Array(1), 0, NaN)).toThrow(/finite/);
  });
});

describe('normal and fillNormal', () => {
  it('have the moments of the normal distribution', () => {
    const values = new Float32Array(200_000);
    new Generator(5).fillNormal(values, 3, 2);
    const { mean, variance, skewness, kurtosis } = moments(values);
    expect(Math.abs(mean - 3)).toBeLessThan(0.02);
    expect(Math.abs(variance - 4)).toBeLessThan(0.06);
    expect(Math.abs(skewness)).toBeLessThan(0.025);
    expect(Math.abs(kurtosis)).toBeLessThan(0.05);
  });

  it('are as often beyond 2 and 3 as they should be', () => {
    const generator = new Generator(6);
    const values = take(200_000, () => Math.abs(generator.normal()));
    const share = (bound: number) => values.filter((value) => value > bound).length / values.length;
    expect(Math.abs(share(2) - 0.0455003)).toBeLessThan(0.0019);
    expect(Math.abs(share(3) - 0.0026998)).toBeLessThan(0.0005);
  });

  it('refuse a negative standard deviation', () => {
    expect(() => new Generator(0).fillNormal(new Float32Array(1), 0, -1)).toThrow(/standard deviation/);
  });
});

describe('integer', () => {
  it('is even over a range that does not divide 2^32', () => {
    const n = 3 * 2 ** 30;
    const generator = new Generator(7);
    // Without throwing away the remainder, the first third would come half of the time.
    const share = take(30_000, () => generator.integer(n)).filter((value) => value < 2 ** 30).length / 30_000;
    expect(Math.abs(share - 1 / 3)).toBeLessThan(0.011);
  });

  it('reaches every value and no other', () => {
    const generator = new Generator(8);
    expect(new Set(take(500, () => generator.integer(7)))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
    expect(take(5, () => generator.integer(1))).toEqual([0, 0, 0, 0, 0]);
    expect(take(5, () => generator.integer(2 ** 32)).every((value) => value >= 0 && value < 2 ** 32)).toBe(true);
  });

  it.each([0, -1, 1.5, NaN, 2 ** 32 + 1])('refuses n = %d', (n) => {
    expect(() => new Generator(0).integer(n)).toThrow(/n must be an integer/);
  });
});

describe('permutation', () => {
  it('holds every number once', () => {
    fc.assert(
      fc.property(safeInteger, fc.nat(200), (seed, n) => {
        expect(new Generator(seed).permutation(n).toSorted()).toEqual(Int32Array.from({ length: n }, (_, i) => i));
      }),
    );
  });

  it('gives all orders equally often', () => {
    const generator = new Generator(9);
    const counts = new Map<string, number>();
    for (let i = 0; i < 24_000; i++) {
      const order = generator.permutation(4).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    const chiSquared = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(counts.size).toBe(24);
    expect(chiSquared).toBeLessThan(50); // 23 degrees of freedom: exceeded once in 1,000 seeds
  });
});

describe('fillBernoulli', () => {
  it('has the right share of the value, and zeros', () => {
    const values = new Float32Array(100_001);
    new Generator(10).fillBernoulli(values, 0.3, 2.5);
    const heads = values.filter((value) => value === 2.5).length;
    expect(Math.abs(heads / values.length - 0.3)).toBeLessThan(0.006);
    expect(values.filter((value) => value === 0).length).toBe(values.length - heads);
  });

  it('is certain at 0 and at 1', () => {
    const values = new Float32Array(1001);
    new Generator(11).fillBernoulli(values, 1);
    expect(values.every((value) => value === 1)).toBe(true);
    new Generator(11).fillBernoulli(values, 0);
    expect(values.every((value) => value === 0)).toBe(true);
  });

  it.each([-0.1, 1.1, NaN])('refuses the probability %d', (probability) => {
    expect(() => new Generator(0).fillBernoulli(new Float32Array(1), probability)).toThrow(/from 0 to 1/);
  });
});

describe('fork', () => {
  it('gives a stream of its own, the same each time', () => {
    const parent = new Generator(12);
    const [first, second] = [parent.fork(), parent.fork()];
    const values = take(100, () => first.uniform());
    expect(take(100, () => second.uniform())).not.toEqual(values);
    const again = new Generator(12).fork();
    expect(take(100, () => again.uniform())).toEqual(values);
  });
});

describe('manualSeed', () => {
  it('starts the default generator anew', () => {
    const values = take(3, () => manualSeed(5).uniform());
    expect(new Set(values).size).toBe(1);
    expect(defaultGenerator.state).toEqual({ seed: 5, counter: 1 });
    expect(() => manualSeed(0.1)).toThrow(/seed must be an integer/);
    expect(defaultGenerator.state).toEqual({ seed: 5, counter: 1 });
  });
});
