/**
 * Learning-rate schedules: the rate as a function of how often step() was called.
 *
 * A schedule takes the rates that it finds as the base rates, writes the rate of step 0 at once, and each step() writes
 * the next one into all groups of the optimizer. The rate never depends on the one before, so nothing piles up.
 */

/** What a schedule needs of an optimizer. */
interface Scheduled {
  readonly groups: readonly { lr: number }[];
}

/** Where a schedule stands: plain data, to be stored with a checkpoint. */
export interface ScheduleState {
  readonly steps: number;
  readonly baseRates: readonly number[];
}

/**
 * A schedule by a function of one's own.
 *
 *     const halving = new Schedule(optimizer, (base, steps) => base / (1 + steps));
 *     halving.step(); // after each epoch, say
 */
export class Schedule {
  readonly #optimizer: Scheduled;
  readonly #rate: (base: number, steps: number) => number;
  #baseRates: readonly number[];
  #steps = 0;

  constructor(optimizer: Scheduled, rate: (base: number, steps: number) => number) {
    this.#optimizer = optimizer;
    this.#rate = rate;
    this.#baseRates = optimizer.groups.map((group) => group.lr);
    this.#write();
  }

  /** Moves on by one, and writes the new rates into the optimizer. */
  step(): void {
    this.#steps += 1;
    this.#write();
  }

  #write(): void {
    this.#optimizer.groups.forEach((group, i) => {
      group.lr = this.#rate(this.#baseRates[i]!, this.#steps);
    });
  }

  stateDict(): ScheduleState {
    return { steps: this.#steps, baseRates: [...this.#baseRates] };
  }

  /** Goes on from a saved state, and writes its rates into the optimizer. */
  loadStateDict({ steps, baseRates }: ScheduleState): void {
    if (!Number.isInteger(steps) || steps < 0) {
      throw new RangeError(`Schedule.loadStateDict: steps must be an integer from 0 up, but it is ${String(steps)}.`);
    }
    if (baseRates.length !== this.#baseRates.length) {
      throw new RangeError(
        `Schedule.loadStateDict: the state has ${baseRates.length} parameter groups, the optimizer ${this.#baseRates.length}.`,
      );
    }
    this.#steps = steps;
    this.#baseRates = [...baseRates];
    this.#write();
  }
}

function checkLength(name: string, option: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new RangeError(`${name}: ${option} must be an integer from 1 up, but it is ${String(value)}.`);
  }
}

/** Options of LinearLR. */
export interface LinearLROptions {
  /** Factor on the base rate at step 0, above 0 and at most 1; 1/3 unless given. */
  readonly startFactor?: number | undefined;
  /** Factor from step totalIters on, from 0 to 1; 1 unless given. */
  readonly endFactor?: number | undefined;
  /** Steps from the first factor to the last; 5 unless given. */
  readonly totalIters?: number | undefined;
}

/**
 * The base rate times a factor that goes from startFactor to endFactor in a straight line, and stays there.
 *
 *     const warmup = new LinearLR(optimizer, { startFactor: 0.1, totalIters: 100 });
 */
export class LinearLR extends Schedule {
  constructor(optimizer: Scheduled, options: LinearLROptions = {}) {
    const { startFactor = 1 / 3, endFactor = 1, totalIters = 5 } = options;
    if (!(startFactor > 0 && startFactor <= 1 && endFactor >= 0 && endFactor <= 1)) {
      throw new RangeError(
        `LinearLR: startFactor must be above 0 and at most 1, endFactor from 0 to 1, but they are ${startFactor} and ${endFactor}.`,
      );
    }
    checkLength('LinearLR', 'totalIters', totalIters);
    super(
      optimizer,
      (base, steps) => base * (startFactor + (endFactor - startFactor) * Math.min(1, steps / totalIters)),
    );
  }
}

/** Options of CosineAnnealingLR. */
export interface CosineAnnealingLROptions {
  /** Steps from the base rate to the lowest. */
  readonly tMax: number;
  /** The lowest rate; 0 unless given. */
  readonly etaMin?: number | undefined;
}

/**
 * etaMin + (base - etaMin) (1 + cos(pi steps / tMax)) / 2: half a wave down in tMax steps, then up again, and so on.
 * Loshchilov and Hutter, "SGDR" (2017), without its restarts.
 *
 *     const schedule = new CosineAnnealingLR(optimizer, { tMax: 100 });
 */
export class CosineAnnealingLR extends Schedule {
  constructor(optimizer: Scheduled, options: CosineAnnealingLROptions) {
    const { tMax, etaMin = 0 } = options;
    checkLength('CosineAnnealingLR', 'tMax', tMax);
    if (!(etaMin >= 0 && etaMin < Infinity)) {
      throw new RangeError(`CosineAnnealingLR: etaMin must be a number from 0 up, but it is ${etaMin}.`);
    }
    super(optimizer, (base, steps) => etaMin + ((base - etaMin) * (1 + cosineOfPi(steps, tMax))) / 2);
  }
}

/**
 * cos(pi steps / half) for integers, by a power series: Math.cos may round differently from engine to engine.
 * With x = pi (1/2 - t), t the way through the half wave, it is sin x = x (1 - x^2 / 6 (1 - x^2 / 20 (...))), |x| <= pi / 2.
 */
function cosineOfPi(steps: number, half: number): number {
  const position = steps % (2 * half);
  const x = Math.PI * (0.5 - (position <= half ? position : 2 * half - position) / half);
  let series = 1;
  for (let k = 22; k >= 2; k -= 2) series = 1 - (x * x * series) / (k * (k + 1));
  return x * series;
}
