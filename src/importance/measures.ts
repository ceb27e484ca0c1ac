/** All measures by name: each is a function of its options. */
import type { Measure } from './measure.ts';
import { activity, wanda } from './measures/activations.ts';
import { obd } from './measures/curvature.ts';
import { fisherEmpirical, fisherExact, fisherObd, fisherSampled, memoryAwareSynapses } from './measures/fisher.ts';
import { grasp, snip, taylor } from './measures/gradients.ts';
import { obs } from './measures/obs.ts';
import { oracle } from './measures/oracle.ts';
import { synflow } from './measures/synflow.ts';
import {
  directionReversals,
  pathLength,
  riemannianWalk,
  signFlips,
  synapticIntelligence,
  weightChange,
} from './measures/training.ts';
import { inverseMagnitude, lamp, magnitude, random, relativeMagnitude } from './measures/weights.ts';

/**
 * The measures of importance, each made by a function of its options.
 *
 *     const net = new Sequential(new Linear(2, 1, { bias: false }));
 *     noGrad(() => net.at(0).weight.copy_(tensor([[3, -4]])));
 *     measures.magnitude().measure({ model: net }).get('0.weight').toArray(); // [[3, 4]]
 */
export const measures = {
  random,
  magnitude,
  relativeMagnitude,
  lamp,
  inverseMagnitude,
  signFlips,
  directionReversals,
  pathLength,
  weightChange,
  synapticIntelligence,
  riemannianWalk,
  fisherExact,
  fisherSampled,
  fisherEmpirical,
  fisherObd,
  memoryAwareSynapses,
  snip,
  taylor,
  grasp,
  obd,
  obs,
  synflow,
  wanda,
  activity,
  oracle,
} as const;

export type MeasureName = keyof typeof measures;

/** A measure by its name, with default options; a name that is none of them is an error that lists them. */
export function measureNamed(name: string): Measure {
  if (!Object.hasOwn(measures, name))
    throw new RangeError(`measureNamed: there is no measure ${name}; there are ${Object.keys(measures).join(', ')}.`);
  return measures[name as MeasureName]();
}
