/**
 * Dark experience replay: of examples in a reservoir the model shall go on saying what it said when they came.
 *
 *     loss + alpha mean |z - z*|^2 [+ beta cross-entropy of a second draw]
 *
 * z* are the outputs (logits) of the step in which an example came, before the step. Where contexts have heads of their own,
 * only the columns of the example's head count.
 */

import { add, mul } from '../../ops/binary.ts';
import { mseLoss } from '../../ops/loss.ts';
import type { Generator } from '../../random/generator.ts';
import { given } from '../../tensor/given.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Learning, StatefulMethod } from '../method.ts';
import { checkGenerator, checkStrength } from './check.ts';
import { type Drawn, replayLoss, weighted } from './examples.ts';
import { checkReservoir, usualBatch } from './memory.ts';
import { Reservoir, type ReservoirState } from './reservoir.ts';

export interface DarkReplayOptions {
  /** Examples in the reservoir. */
  readonly capacity: number;
  /** Examples that are drawn each step; 128 unless given, or the capacity if that is smaller. As long as fewer are kept, all of them. */
  readonly batchSize?: number;
  /** What the squared error of the outputs counts, from 0 up. */
  readonly alpha: number;
  /** Decides what is kept and what is drawn. */
  readonly generator: Generator;
}

export interface DarkReplayPlusOptions extends DarkReplayOptions {
  /** What the cross-entropy of a second draw counts, from 0 up. */
  readonly beta: number;
}

/**
 * Dark experience replay (DER). Options out of range and a missing generator are errors.
 * Buzzega et al., "Dark experience for general continual learning: a strong, simple baseline" (2020), equation 6.
 *
 *     const optimizer = new SGD(model.parameters(), { lr: 0.03 });
 *     const replay = der({ capacity: 500, alpha: 0.2, generator: new Generator(1) });
 *     const learner = new ContinualLearner({ model, optimizer, methods: [replay] });
 */
export const der = (options: DarkReplayOptions): StatefulMethod<ReservoirState> =>
  darkReplay('der', given('der({ capacity: 500, alpha: 0.2, generator: new Generator(1) })', 'options', options), 0);

/**
 * Dark experience replay with labels as well (DER++): two draws a step, each independent of the other. Options out of range and a
 * missing generator are errors.
 * Buzzega et al., "Dark experience for general continual learning: a strong, simple baseline" (2020), equation 7.
 *
 *     const optimizer = new SGD(model.parameters(), { lr: 0.03 });
 *     const replay = derpp({ capacity: 500, alpha: 0.2, beta: 0.5, generator: new Generator(1) });
 *     const learner = new ContinualLearner({ model, optimizer, methods: [replay] });
 */
export function derpp(options: DarkReplayPlusOptions): StatefulMethod<ReservoirState> {
  const call = 'derpp({ capacity: 500, alpha: 0.2, beta: 0.5, generator: new Generator(1) })';
  const { beta } = given(call, 'options', options);
  checkStrength('derpp', 'beta', beta);
  return darkReplay('derpp', options, beta);
}

function darkReplay(name: string, options: DarkReplayOptions, beta: number): StatefulMethod<ReservoirState> {
  const { capacity, alpha, batchSize = usualBatch(capacity), generator } = options;
  checkGenerator(name, generator);
  checkStrength(name, 'alpha', alpha);
  checkReservoir(name, capacity, batchSize);
  const reservoir = new Reservoir({ capacity, generator });
  const plus = (loss: Tensor, factor: number, termOf: (drawn: Drawn) => Tensor): Tensor => {
    const drawn = factor === 0 ? null : reservoir.draw(batchSize);
    return drawn === null ? loss : add(loss, mul(termOf(drawn), factor));
  };
  return {
    name,
    loss(loss, { batch, output, learning }) {
      const held = plus(loss, alpha, (drawn) => outputError(learning, drawn));
      const total = plus(held, beta, (drawn) => replayLoss(learning, drawn, batch.head));
      // Now, since the memory of an output may be given back by any later walk. What comes in is drawn from the next step on.
      reservoir.add(batch, output);
      return total;
    },
    stateDict: () => reservoir.stateDict(),
    loadStateDict: (state) => reservoir.loadStateDict(state),
  };
}

/** Mean squared difference between what the model says and what it said, among the columns of each example's head. */
function outputError(learning: Learning, { x, logits, groups }: Drawn): Tensor {
  const output = learning.output(x);
  return weighted(groups, ({ rows, head }) => mseLoss(output.slice([rows, head]), logits!.slice([rows, head])));
}
