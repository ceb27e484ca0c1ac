/**
 * What guides a parameter besides its gradient: targets in its inbox, anchors, its plasticity. How it then moves is in
 * proximal.ts.
 */
import type { Node } from '../autograd/node.ts';
import { mul } from '../ops/binary.ts';
import type { Anchor } from '../state/anchor.ts';
import { readGate } from '../state/gate.ts';
import { guided, stateOf } from '../state/side-state.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import type { Slot } from './optimizer.ts';

/** What guides a parameter besides its inbox: its plasticity, as it stood before the step, is `share` times `plasticity`. */
export interface Guide {
  readonly anchors: readonly Anchor[];
  /** The product of all plasticities that are one number for all weights. */
  readonly share: number;
  /** The product of the others; null: there are none. */
  readonly plasticity: Tensor | null;
}

export const unguided: Guide = { anchors: [], share: 1, plasticity: null };

/** The guides of all parameters that have any, read before anything moves; null: no parameter anywhere has one. */
export function readGuides(groups: readonly { readonly slots: readonly Slot[] }[]): Map<Tensor, Guide> | null {
  if (guided.count === 0) return null;
  const guides = new Map<Tensor, Guide>();
  for (const { slots } of groups)
    for (const { parameter } of slots) {
      const state = stateOf(parameter);
      if (state === null || state.anchors.length + state.plasticities.length === 0) continue;
      let share = 1;
      let plasticity: Tensor | null = null;
      for (const { gate } of state.plasticities) {
        const one = readGate('plasticity', gate, parameter);
        if (one.size === 1) share *= numbersOf(one)[0]!;
        else plasticity = plasticity === null ? one : mul(plasticity, one);
      }
      guides.set(parameter, { anchors: state.anchors, share, plasticity });
    }
  return guides;
}

/** Whether a step is due: something arrived, or an anchor pulls. A gradient that did not arrive then counts as 0. */
export const isDue = ({ slope, springs }: Node, guide: Guide = unguided): boolean =>
  slope !== null || springs !== null || guide.anchors.length > 0;
