/** All methods of the experiment, in the order of tables. They live in methods/ and are joined in here. */

import type { Contender } from './method.ts';
import {
  consolidation,
  memoryAware,
  onlineConsolidation,
  riemannianWalk,
  synapticIntelligence,
} from './methods/anchoring.ts';
import { joint, none, separate } from './methods/baselines.ts';
import { plastic, selective } from './methods/companions.ts';
import { hardAttention, packing } from './methods/masks.ts';
import { averagedGem, darkReplay, episodicMemory, experienceReplay, withoutForgetting } from './methods/replay.ts';

export const METHODS: readonly Contender[] = [
  ...[none, joint, separate],
  ...[consolidation, onlineConsolidation, synapticIntelligence, memoryAware, riemannianWalk],
  ...[withoutForgetting, experienceReplay, averagedGem, episodicMemory, darkReplay],
  ...[hardAttention, packing],
  ...[plastic, selective],
];

export function methodOf(name: string): Contender {
  const found = METHODS.find((method) => method.name === name);
  if (found === undefined) throw new Error(`There is no method '${name}'.`);
  return found;
}
