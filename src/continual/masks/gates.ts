/**
 * Gates that belong to a method and not to the model: they stand in the method's state, so a model is saved and loaded without
 * them. For optimizers they are functions, which are nobody's state; and like gates that are tensors they open where weights are drawn anew.
 */
import { plasticity } from '../../state/gate.ts';
import { onReset, ownersOf, writeAt } from '../../state/reset.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** Puts a gate at a parameter's update. @returns a function that takes it off */
export function gateAt(parameter: Tensor, gate: Tensor): () => void {
  const removals = [
    plasticity(parameter, () => gate),
    onReset(parameter, (elements) => writeAt(gate, ownersOf(gate, parameter, elements), () => 1)),
  ];
  return () => {
    for (const remove of removals) remove();
  };
}
