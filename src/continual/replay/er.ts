/**
 * Experience replay: beside each batch, some examples of earlier contexts are learned from again.
 */
import { add, mul, sub } from '../../ops/binary.ts';
import { given } from '../../tensor/given.ts';
import type { StatefulMethod } from '../method.ts';
import { replayLoss } from './examples.ts';
import { type MemoryOptions, type MemoryState, memoryFor } from './memory.ts';

export interface ExperienceReplayOptions extends MemoryOptions {
  /**
   * How the losses of the batch and of what is replayed add up in context number t, from 1. 'contexts': 1/t of the one and 1 - 1/t
   * of the other, as if all contexts so far were learned together (as published, and unless given where the buffer is 'class'); or
   * 'sum', both in full (unless given where it is a reservoir). What other methods add to the loss counts in full either way,
   * whether they come before or after it.
   */
  readonly weighting?: 'contexts' | 'sum';
}

/**
 * Experience replay. Where the contexts share the present head, or theirs lie within it, what is drawn is mixed; where they have
 * heads of their own, each earlier context gives an equal part, which goes through its head, and the loss is the mean over these.
 * (From a reservoir it is always mixed; there the loss is the mean over what was drawn, each through its head.)
 * van de Ven, Tuytelaars and Tolias, "Three types of incremental learning" (2022); with a reservoir Chaudhry et al., "On tiny episodic
 * memories in continual learning" (2019).
 *
 * Options out of range and a missing generator are errors.
 *
 *     const optimizer = new Adam(model.parameters());
 *     const replay = er({ perClass: 100, generator: new Generator(1) });
 *     const learner = new ContinualLearner({ model, optimizer, methods: [replay] });
 */
export function er(options: ExperienceReplayOptions): StatefulMethod<MemoryState> {
  const { buffer, weighting = buffer === 'reservoir' ? 'sum' : 'contexts' } = given(
    'er({ generator: new Generator(1) })',
    'options',
    options,
  );
  if (weighting !== 'contexts' && weighting !== 'sum')
    throw new Error(`er: weighting is 'contexts' or 'sum', not ${String(weighting)}.`);
  const memory = memoryFor('er', options);
  return {
    name: 'er',
    loss(loss, { batch, own, learning }) {
      const earlier = memory.others(batch);
      if (weighting === 'contexts' && earlier === 0) return loss;
      const drawn = memory.draw(batch);
      if (drawn === null) return loss;
      const replayed = replayLoss(learning, drawn, batch.head);
      if (weighting === 'sum') return add(loss, replayed);
      const share = 1 / (earlier + 1);
      if (loss === own) return add(mul(own, share), mul(replayed, 1 - share));
      // Only the batch's part is weighed: what others have added stays as it is, as penalties do in the published code.
      return add(loss, mul(sub(replayed, own), 1 - share));
    },
    stepped: ({ batch }) => memory.learned(batch),
    end: (context) => memory.ended(context),
    stateDict: () => memory.stateDict(),
    loadStateDict: (state) => memory.loadStateDict(state),
  };
}
