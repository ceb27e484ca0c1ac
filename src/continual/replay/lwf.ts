/**
 * Learning without forgetting: of the inputs of now, the model shall go on saying what the model at the end of the last context
 * says. No example of earlier contexts is kept.
 *
 * Both are softened, p = softmax(z / T), and what is added to the loss is their cross-entropy, the mean over the batch of
 * -sum p* log p over the columns of an old head. It is not multiplied by T^2.
 */
import type { Context, Head } from '../../data/scenarios.ts';
import type { StateDict } from '../../nn/module.ts';
import { add, mul } from '../../ops/binary.ts';
import { crossEntropy } from '../../ops/loss.ts';
import { softmax } from '../../ops/softmax.ts';
import { given } from '../../tensor/given.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Learning, StatefulMethod } from '../method.ts';
import { checkFields, checkList, checkTensor } from '../state.ts';
import { within } from './examples.ts';

export interface LearningWithoutForgettingOptions {
  /** T, above 0; 2 unless given. */
  readonly temperature?: number;
  /**
   * What the mean of the distillation losses over the old heads counts beside the loss, from 0 up. Unless given, as published:
   * in context number t, from 1, it is t - 1 in the scenarios 'task' and 'domain', and 1 in 'class'.
   */
  readonly weight?: number;
}

export interface LearningWithoutForgettingState {
  /** The model at the end of the last context; null: none ended. */
  readonly model: StateDict | null;
  readonly contexts: readonly { readonly index: number; readonly head: Head; readonly kind: Context['kind'] }[];
}

/**
 * Learning without forgetting. The old model is asked in the mode of use, without recording, with copies of the parameters and
 * buffers made when a context ended; the present model does not notice. A temperature or a weight out of range is an error.
 * Li and Hoiem, "Learning without forgetting" (2016); weights of van de Ven, Tuytelaars and Tolias, "Three types of incremental
 * learning" (2022).
 *
 *     const optimizer = new Adam(model.parameters());
 *     const learner = new ContinualLearner({ model, optimizer, methods: [lwf({ temperature: 2 })] });
 */
export function lwf(options: LearningWithoutForgettingOptions = {}): StatefulMethod<LearningWithoutForgettingState> {
  const { temperature = 2, weight } = given('lwf({ temperature: 2 })', 'options', options);
  if (!(temperature > 0 && temperature < Infinity))
    throw new RangeError(`lwf: temperature is a finite number above 0, not ${String(temperature)}.`);
  if (weight !== undefined && !(weight >= 0 && weight < Infinity))
    throw new RangeError(`lwf: weight is a finite number from 0 up, not ${String(weight)}.`);
  let earlier: StateDict | null = null;
  let ended: LearningWithoutForgettingState['contexts'] = [];
  let own: Learning['model'] | null = null;
  return {
    name: 'lwf',
    attach({ model }) {
      own = model;
    },
    loss(loss, { batch, output, learning }) {
      const others = ended.filter(({ index }) => index !== batch.context);
      if (earlier === null || others.length === 0) return loss;
      const heads = outermost(others.map(({ head }) => head));
      const factor = (weight ?? (others[0]!.kind === 'class' ? 1 : others.length)) / heads.length;
      if (factor === 0) return loss;
      const said = learning.model.forwardWith(earlier, batch.x);
      return heads.reduce((sum, head) => add(sum, mul(distillation(output, said, head, temperature), factor)), loss);
    },
    end({ index, head, kind }, { model }) {
      earlier = model.stateDict();
      ended = [...ended.filter((one) => one.index !== index), { index, head: [head[0], head[1]], kind }];
    },
    stateDict: () => ({ model: earlier && { ...earlier }, contexts: ended.slice() }),
    loadStateDict(state) {
      checkFields(loading, state, ['model', 'contexts']);
      const { model, contexts } = state;
      checkList(loading, 'contexts', contexts);
      if (model !== null && own !== null) checkModel(model, own);
      earlier = model && Object.fromEntries(Object.entries(model).map(([name, value]) => [name, value.detach()]));
      ended = contexts.slice();
    },
  };
}

const loading = 'lwf.loadStateDict';

/** A sentence unless an earlier model has the names and shapes of the present one. */
function checkModel(earlier: StateDict, model: Learning['model']): void {
  const present = model.stateDict();
  checkFields(`${loading}, model`, earlier, Object.keys(present));
  for (const [name, { shape }] of Object.entries(present)) checkTensor(loading, name, earlier[name], shape);
}

/** Each of these heads once, without those that lie within another. */
function outermost(heads: readonly Head[]): readonly Head[] {
  return heads.filter(
    (head, i) => !heads.some((other, j) => i !== j && within(head, other) && (j < i || !within(other, head))),
  );
}

/** Mean cross-entropy of the softened columns of a head with those that were said earlier. */
function distillation(output: Tensor, said: Tensor, head: Head, temperature: number): Tensor {
  const softened = (x: Tensor) => mul(x.slice([null, head]), 1 / temperature);
  return crossEntropy(softened(output), softmax(softened(said)));
}
