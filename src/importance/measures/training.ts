/**
 * Measures of what a tracker saw of the training (movement.ts, trackers.ts). The first four are those of McAlister's
 * comparison of orderings, each a falling function of what was counted: weights that settled matter.
 */
import { numbersOf } from '../../tensor/tensor.ts';
import { defineMeasure, type Measure, parametersOf, type Subject } from '../measure.ts';
import type { Movement } from '../movement.ts';

/** The trackers that a subject may have, and how each is made. */
const trackers = { movement: 'WeightMovement', path: 'PathIntegral', walk: 'RiemannianWalk' } as const;

function tracker<Kind extends keyof typeof trackers>(
  who: string,
  subject: Subject,
  kind: Kind,
): NonNullable<Subject[Kind]> {
  const found = subject[kind];
  if (found === undefined)
    throw new Error(
      `${who}: it is a measure of how weights were trained, and nothing watched. Attach new ${trackers[kind]}(model.namedParameters()) ` +
        `to the optimizer before training, and give it to the subject as ${kind}.`,
    );
  return found;
}

function ofMovement(name: string, about: string, counted: (movement: Movement, i: number) => number): Measure {
  return defineMeasure({
    name,
    about,
    paper: 'McAlister, "Weight importance measure orderings"',
    needs: 'training',
    compared: 'layer',
    measure(subject, who) {
      const movement = tracker(who, subject, 'movement');
      const found = new Map<string, Float64Array>();
      for (const [name, { size }] of parametersOf(who, subject.model)) {
        const seen = movement.of(name);
        found.set(
          name,
          Float64Array.from({ length: size }, (_, i) => 1 / (1 + counted(seen, i))),
        );
      }
      return found;
    },
  });
}

/** 1 / (1 + how often the sign changed). Most weights never change theirs, and tie at 1. */
export const signFlips = (): Measure =>
  ofMovement('signFlips', '1 / (1 + changes of sign)', ({ flips }, i) => flips[i]!);

/** 1 / (1 + how often the direction of the step changed). */
export const directionReversals = (): Measure =>
  ofMovement('directionReversals', '1 / (1 + reversals of direction)', ({ reversals }, i) => reversals[i]!);

/** 1 / (1 + the sum of |step|). (Not of signed steps: their sum is end - start, and may be below -1.) */
export const pathLength = (): Measure => ofMovement('pathLength', '1 / (1 + sum of |step|)', ({ path }, i) => path[i]!);

/** 1 / (1 + |end - start|). */
export const weightChange = (): Measure =>
  ofMovement('weightChange', '1 / (1 + |end - start|)', ({ start, last }, i) => Math.abs(last[i]! - start[i]!));

/**
 * Path integral, never below 0, divided by (w - start)^2 + xi: what a weight's movement brought, for the distance that it
 * came.
 *
 * @param xi damps weights that hardly moved; 0.1 unless given
 */
export const synapticIntelligence = ({ xi = 0.1 }: { readonly xi?: number } = {}): Measure => {
  if (!(xi > 0 && xi < Infinity)) throw new RangeError(`synapticIntelligence: xi must be a number above 0, not ${xi}.`);
  return defineMeasure({
    name: 'synapticIntelligence',
    about: 'fall of the loss along its path / (squared distance + xi)',
    paper: 'Zenke, Poole and Ganguli, "Continual learning through synaptic intelligence" (2017), equation 5',
    needs: 'training',
    compared: 'model',
    measure(subject, who) {
      const integral = tracker(who, subject, 'path');
      const found = new Map<string, Float64Array>();
      for (const [name, parameter] of parametersOf(who, subject.model)) {
        const { path, start } = integral.of(name);
        const weights = numbersOf(parameter);
        found.set(
          name,
          path.map((brought, i) => Math.max(0, brought) / ((weights[i]! - start[i]!) ** 2 + xi)),
        );
      }
      return found;
    },
  });
};

/** Running Fisher information plus the score of the stretches of training that ended. */
export const riemannianWalk = (): Measure =>
  defineMeasure({
    name: 'riemannianWalk',
    about: 'running Fisher information + fall of the loss for the distance that the answers moved',
    paper: 'Chaudhry et al., "Riemannian walk for incremental learning" (2018)',
    needs: 'training',
    compared: 'model',
    measure(subject, who) {
      const walk = tracker(who, subject, 'walk');
      const found = new Map<string, Float64Array>();
      for (const name of parametersOf(who, subject.model).keys()) {
        const { fisher, score } = walk.of(name);
        found.set(
          name,
          fisher.map((information, i) => information + score[i]!),
        );
      }
      return found;
    },
  });
