import { describe, expect, it } from 'vitest';
import { embeddedDigits } from '../../../../bench/learning/data.ts';
import type { Status } from '../../../../bench/learning/progress.ts';
import type { Configuration, Trainer } from '../../../../bench/learning/rules/configuration.ts';
import { makeTrainer } from '../../../../bench/learning/rules/configurations/backprop.ts';
import { measure } from '../../../../bench/learning/rules/measure.ts';
import type { Generator, Tensor } from '../../../../src/index.ts';

const silent = { step() {}, epoch() {}, stop() {} };
const whole = embeddedDigits();
const pixels = whole.train.pixels.subarray(0, 650 * 784);
const data = { ...whole, train: { ...whole.train, count: 650, pixels }, test: { ...whole.test, count: 150 } };
const settings = { epochs: 2, seed: 5, label: 'rule' };

/** A rule that learns nothing, as a test wants it. */
const fake = (make: (seed: number, generator: Generator) => Trainer, batch = 50): Configuration => ({
  ...{ name: 'fake', about: 'Does as it is told.', layers: [784, 10], batch, epochs: 1, make },
});

describe('measure', () => {
  it('averages the right answers of the last epoch, and tells the progress of each', () => {
    let step = 0;
    const statuses: Status[] = [];
    // 10 of each 50 are right in the first epoch, 20 in the second. 650 is 13 batches.
    const trainer = { step: () => (step++ < 13 ? 10 : 20), predict: () => new Int32Array(100) };
    const recorder = { ...silent, epoch: (status: Status) => statuses.push(status) };
    const { row, curve, angles } = measure(
      data,
      fake(() => trainer),
      settings,
      recorder,
    );
    expect(row.prequential).toBe(0.4);
    expect(statuses.map(({ name, epoch, done, accuracy }) => [name, epoch, done, accuracy])).toEqual([
      ['rule', 1, 650, 0.2],
      ['rule', 2, 1300, 0.4],
    ]);
    expect([curve.length, curve[0], curve.at(-1)]).toEqual([
      26,
      { samples: 50, accuracy: 0.2 },
      { samples: 1300, accuracy: 0.4 },
    ]);
    expect([row.angles, angles]).toEqual([null, []]);
  });

  it('draws a long run in at most a hundred points, of which the last is what was left', () => {
    let step = 0;
    const trainer = { step: () => (step++ >= 258 ? 50 : 25), predict: () => new Int32Array(100) };
    const { curve } = measure(
      data,
      fake(() => trainer),
      { ...settings, epochs: 20 },
      silent,
    );
    // Three batches pass a hundredth of 13,000 images; 260 batches leave two.
    expect([curve.length, curve[0]]).toEqual([87, { samples: 150, accuracy: 0.5 }]);
    expect(curve.at(-2)).toEqual({ samples: 12_900, accuracy: 0.5 });
    expect(curve.at(-1)).toEqual({ samples: 13_000, accuracy: 1 });
  });

  it('tests on every held-out image, and on no other', () => {
    const seen: number[] = [];
    const trainer = {
      step: () => 0,
      predict: ({ shape }: Tensor) => {
        seen.push(shape[0] as number);
        return new Int32Array(shape[0] as number).fill(3);
      },
    };
    const { row } = measure(
      data,
      fake(() => trainer),
      settings,
      silent,
    );
    expect(seen).toEqual([100, 50]);
    expect(row.accuracy).toBe(whole.test.labels.subarray(0, 150).filter((label) => label === 3).length / 150);
  });

  it('shows the same images in the same order to every rule, whatever it draws, and other orders to other seeds', () => {
    const orderOf = (seed: number, drawn: number) => {
      const order: number[] = [];
      const make = (_: number, generator: Generator) => {
        for (let i = 0; i < drawn; i++) generator.uniform();
        const step = (_: Tensor, labels: Int32Array) => {
          order.push(...labels);
          return 0;
        };
        return { step, predict: ({ shape }: Tensor) => new Int32Array(shape[0] as number) };
      };
      measure(data, fake(make), { ...settings, seed }, silent);
      return order;
    };
    const order = orderOf(5, 0);
    expect(order).toHaveLength(1300);
    expect(orderOf(5, 100)).toEqual(order);
    expect(orderOf(6, 0)).not.toEqual(order);
  });

  it('tells a step that counts more right answers than there were images', () => {
    const trainer = { step: () => 51, predict: () => new Int32Array(100) };
    expect(() =>
      measure(
        data,
        fake(() => trainer),
        settings,
        silent,
      ),
    ).toThrow('fake: a step on 50 images told 51 right answers, expected a whole number up to 50.');
  });

  it('gives the same numbers for the same seed, but for the time, with angles from the start to the end', () => {
    const configuration = fake((_, generator) => makeTrainer([784, 16, 10], 0.1, generator), 64);
    const once = measure(data, configuration, settings, silent);
    const again = measure(data, configuration, settings, silent);
    const { stepsPerSecond, ...numbers } = once.row;
    expect(again.row).toEqual({ ...numbers, stepsPerSecond: expect.any(Number) });
    expect([again.curve, again.angles]).toEqual([once.curve, once.angles]);
    expect(stepsPerSecond).toBeGreaterThan(0);
    expect(numbers).toMatchObject({ rule: 'fake', layers: [784, 10], batch: 64, epochs: 2, seed: 5 });
    // Though the last batch of an epoch is smaller than the others.
    expect(numbers.multiplyAdds).toBe(2 * (784 * 16 + 16 * 10) + 16 * 10);
    expect([once.angles[0]?.samples, once.angles.at(-1)?.samples]).toEqual([0, 1300]);
    expect(once.angles.length).toBeLessThanOrEqual(22);
    expect(once.angles.at(-1)?.angles).toEqual(numbers.angles);
  });
});
