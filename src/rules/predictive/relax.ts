/**
 * Relaxation: the values of a block descend their energy, all at once, sweep by sweep.
 *
 * States and steps live as long as the walk; all that a sweep computes by the way is given back when it ends, so that a long
 * relaxation takes no more memory than a short one.
 */
import { noGrad } from '../../autograd/modes.ts';
import { run } from '../../storage/dispatch.ts';
import { address, wroteTo } from '../../tensor/access.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { descend, energyOf, predict } from './energy.ts';
import type { Place } from './places.ts';

/** `steps` sweeps of one rate. Adds the energy before each to `energies`. */
export function relaxFor(
  places: readonly Place[],
  { steps, rate, frozen }: { readonly steps: number; readonly rate: number; readonly frozen: boolean },
  energies: number[] | null,
): void {
  for (let sweep = 0; sweep < steps; sweep++) {
    noGrad(() => {
      predict(places, frozen);
      energies?.push(energyOf(places));
      descend(places, rate);
    });
    forSteps(places, ({ state, step }) => addTo(state, step));
  }
}

/**
 * Sweeps until one lowers the energy by no more than `tolerance` of what all have lowered it. A sweep that raises it is
 * undone, and the rate halved. Returns the energies: before the first sweep, and after each that stood.
 */
export function relaxUntil(
  places: readonly Place[],
  {
    tolerance,
    maxSteps,
    rate: first,
  }: { readonly tolerance: number; readonly maxSteps: number; readonly rate: number },
): number[] {
  let rate = first;
  /** The energy as it stands; where it is not above `limit`, the next steps too. */
  const look = (limit: number): number =>
    noGrad(() => {
      predict(places, false);
      const energy = energyOf(places);
      if (!isWorse(energy, limit)) descend(places, rate);
      return energy;
    });
  // Nothing is worse than NaN: the first sweep is always taken.
  const energies = [look(Number.NaN)];
  const start = energies[0]!;
  let energy = start;
  for (let sweep = 0; sweep < maxSteps; sweep++) {
    forSteps(places, ({ state, step, before }) => {
      copyTo(before as Tensor, state);
      addTo(state, step);
    });
    const next = look(energy);
    if (isWorse(next, energy)) {
      rate /= 2;
      forSteps(places, ({ state, step, before }) => {
        copyTo(state, before as Tensor);
        run.scale(address(step), address(step), step.size, 0.5, 0);
        wroteTo(step);
      });
      continue;
    }
    energies.push(next);
    const fall = energy - next;
    energy = next;
    if (!(fall > tolerance * (start - next))) break;
  }
  return energies;
}

/** NaN where nothing was NaN before is a step too far; where all is NaN there is nothing to undo. */
const isWorse = (energy: number, than: number): boolean =>
  energy > than || (Number.isNaN(energy) && !Number.isNaN(than));

interface Moving {
  readonly state: Tensor;
  readonly step: Tensor;
  readonly before: Tensor | null;
}

function forSteps(places: readonly Place[], body: (place: Moving) => void): void {
  for (const { state, step, before } of places) if (state !== null && step !== null) body({ state, step, before });
}

function addTo(x: Tensor, y: Tensor): void {
  run.add(address(x), 0, 1, address(y), 0, 1, address(x), 1, x.size);
  wroteTo(x);
}

function copyTo(x: Tensor, from: Tensor): void {
  run.copy(address(from), address(x), x.size);
  wroteTo(x);
}
