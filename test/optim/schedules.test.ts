import { describe, expect, it } from 'vitest';
import { CosineAnnealingLR, LinearLR, Schedule } from '../../src/optim/schedules.ts';
import { goldenOptimizers } from './golden.ts';

const optimizerWith = (...rates: number[]) => ({ groups: rates.map((lr) => ({ lr })) });

/** The rate before each of `count` steps, as PyTorch's trace was taken. */
function trace(optimizer: { groups: { lr: number }[] }, schedule: Schedule, count: number): number[] {
  return Array.from({ length: count }, () => {
    const { lr } = optimizer.groups[0]!;
    schedule.step();
    return lr;
  });
}

describe('schedules', () => {
  const make = {
    LinearLR: (optimizer: ReturnType<typeof optimizerWith>, args: Record<string, number>) =>
      new LinearLR(optimizer, { startFactor: args.start_factor, totalIters: args.total_iters }),
    CosineAnnealingLR: (optimizer: ReturnType<typeof optimizerWith>, args: Record<string, number>) =>
      new CosineAnnealingLR(optimizer, { tMax: args.T_max!, etaMin: args.eta_min }),
  };
  for (const [name, schedule] of Object.entries(make)) {
    it(`${name} follows PyTorch's`, () => {
      const golden = goldenOptimizers.schedulers.filter(({ scheduler }) => scheduler === name);
      expect(golden.length).toBeGreaterThan(0);
      for (const { args, base_lr, lrs } of golden) {
        const optimizer = optimizerWith(base_lr);
        const rates = trace(optimizer, schedule(optimizer, args), lrs.length);
        rates.forEach((rate, i) => {
          expect(Math.abs(rate - lrs[i]!)).toBeLessThan(1e-9);
        });
      }
    });
  }

  it('CosineAnnealingLR is the cosine, over many waves', () => {
    const optimizer = optimizerWith(1);
    trace(optimizer, new CosineAnnealingLR(optimizer, { tMax: 7 }), 100).forEach((rate, i) => {
      expect(Math.abs(rate - (1 + Math.cos((Math.PI * i) / 7)) / 2)).toBeLessThan(1e-14);
    });
  });

  it('LinearLR stays at its end factor', () => {
    const optimizer = optimizerWith(2);
    const rates = trace(optimizer, new LinearLR(optimizer, { startFactor: 1, endFactor: 0, totalIters: 2 }), 5);
    expect(rates).toEqual([2, 1, 0, 0, 0]);
  });

  it('move each group from its own base rate', () => {
    const optimizer = optimizerWith(1, 10);
    const schedule = new Schedule(optimizer, (base, steps) => base / (1 + steps));
    schedule.step();
    expect(optimizer.groups.map(({ lr }) => lr)).toEqual([0.5, 5]);
  });

  it('go on from a saved state', () => {
    const optimizer = optimizerWith(0.3);
    const schedule = new CosineAnnealingLR(optimizer, { tMax: 10 });
    trace(optimizer, schedule, 4);
    const saved = JSON.parse(JSON.stringify(schedule.stateDict()));
    const other = optimizerWith(0.1);
    const resumed = new CosineAnnealingLR(other, { tMax: 10 });
    resumed.loadStateDict(saved);
    expect(trace(other, resumed, 5)).toEqual(trace(optimizer, schedule, 5));
    expect(() => resumed.loadStateDict({ steps: -1, baseRates: [1] })).toThrow(/steps must be/);
    expect(() => resumed.loadStateDict({ steps: 1, baseRates: [1, 2] })).toThrow(/2 parameter groups, the optimizer 1/);
  });

  it('refuse options out of range', () => {
    expect(() => new LinearLR(optimizerWith(1), { startFactor: 0 })).toThrow(/startFactor must be above 0/);
    expect(() => new LinearLR(optimizerWith(1), { totalIters: 0 })).toThrow(/totalIters/);
    expect(() => new CosineAnnealingLR(optimizerWith(1), { tMax: 0.5 })).toThrow(/tMax/);
    expect(() => new CosineAnnealingLR(optimizerWith(1), { tMax: 5, etaMin: -1 })).toThrow(/etaMin/);
  });
});
