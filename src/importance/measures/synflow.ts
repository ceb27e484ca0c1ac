/**
 * Synaptic flow: how much flows through a weight when everything is positive. It needs no data, only the shape of an input.
 */
import { scope, withRecording } from '../../autograd/modes.ts';
import { ones } from '../../tensor/create.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import { defineMeasure, generatorOf, inUse, type Measure, parametersOf, type Subject, slopesOf } from '../measure.ts';
import { sortedByValue } from '../order.ts';
import { writeNumbers } from '../removal.ts';
import { structureOf } from '../structure.ts';

export interface SynflowOptions {
  /**
   * Rounds of removing a little and measuring anew. 100 unless given, as published: importance is then when a kernel's weight
   * was removed, or would have been, from 0 to 1. 1: |w| dR/d|w| itself, of all parameters.
   */
  readonly rounds?: number | undefined;
  /** The fraction of kernels' weights that the rounds leave, above 0 and at most 1; 0.01 unless given. */
  readonly density?: number | undefined;
  /** Shape of one example; that of the data unless given. */
  readonly inputShape?: readonly number[] | undefined;
}

/**
 * |w| dR/d|w|, R the sum of the outputs for an input of ones when all weights, biases too, have their absolute values. For
 * layers with activations of relu's kind, without biases, the sum over a layer is R in every layer: no layer loses all its
 * weights before others. Removing in rounds keeps it so.
 */
export const synflow = ({ rounds = 100, density = 0.01, inputShape }: SynflowOptions = {}): Measure => {
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new RangeError(`synflow: rounds is a number from 1 up, not ${String(rounds)}.`);
  if (!(density > 0 && density <= 1))
    throw new RangeError(`synflow: density is the fraction left, above 0 and at most 1, not ${String(density)}.`);
  return defineMeasure({
    name: 'synflow',
    about: '|w| dR/d|w|, R the sum of outputs of the network of |w| for an input of ones',
    paper:
      'Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow" (2020), algorithm 1',
    needs: 'nothing',
    compared: 'model',
    measure(subject, who) {
      const shape = inputShape ?? shapeOfData(who, subject);
      return withAbsoluteValues(subject, () => {
        const parameters = parametersOf(who, subject.model);
        const flow = () => flowOf(who, subject, shape, parameters);
        return rounds === 1 ? flow() : inRounds(who, subject, flow, rounds, density);
      });
    },
  });
};

function shapeOfData(who: string, { batches }: Subject): readonly number[] {
  for (const { x } of batches?.() ?? []) return x.shape.slice(1);
  throw new Error(
    `${who}: there are no data to tell the shape of an input. Give the subject batches, or synflow({ inputShape }).`,
  );
}

/** Runs `body` while all parameters and buffers hold their absolute values. */
function withAbsoluteValues<Result>({ model }: Subject, body: () => Result): Result {
  const kept = [...model.namedParameters(), ...model.namedBuffers()].map(([, value]) => ({
    value,
    numbers: numbersOf(value),
  }));
  try {
    for (const { value, numbers } of kept) writeNumbers(value, numbers.map(Math.abs));
    return inUse(model, body);
  } finally {
    for (const { value, numbers } of kept) writeNumbers(value, numbers);
  }
}

type Scores = Map<string, Float64Array>;

/** |w| dR/d|w| of the weights as they are. */
function flowOf(
  who: string,
  { model }: Subject,
  shape: readonly number[],
  parameters: ReadonlyMap<string, Tensor>,
): Scores {
  return withRecording(true, () =>
    scope(() => {
      const total = model.forward(ones([1, ...shape])).sum();
      if (!Number.isFinite(total.item()))
        throw new Error(
          `${who}: the sum of the outputs is ${total.item()}: the network is too deep, or its weights too large, for float32.`,
        );
      const slopes = slopesOf(who, total, [...parameters.values()]);
      let next = 0;
      const scores: Scores = new Map();
      for (const [name, parameter] of parameters) {
        const slope = slopes[next++] ?? null;
        const g = slope === null ? null : numbersOf(slope);
        const weights = numbersOf(parameter);
        const own = new Float64Array(parameter.size);
        if (g !== null) for (let i = 0; i < own.length; i++) own[i] = weights[i]! * g[i]!;
        scores.set(name, own);
      }
      return scores;
    }),
  );
}

/**
 * When each kernel's weight goes if the least flow is removed round after round until the density is reached; the rest by
 * their flow at the end.
 */
function inRounds(who: string, subject: Subject, flow: () => Scores, rounds: number, density: number): Scores {
  const kernels = structureOf(who, subject.model).filter(({ kind }) => kind === 'kernel');
  const size = kernels.reduce((sum, { parameter }) => sum + parameter.size, 0);
  const place = new Float64Array(size);
  let gone = 0;
  /** Positions of the weights that are left, by the flow of the last round; ties in random order. */
  let left: Uint32Array = Uint32Array.from(generatorOf(subject).permutation(size));
  const sort = (): void => {
    const scores = flow();
    const all = new Float32Array(size);
    let offset = 0;
    for (const { name, parameter } of kernels) {
      all.set(scores.get(name)!, offset);
      offset += parameter.size;
    }
    left = sortedByValue(left, all);
  };
  const remove = (count: number): void => {
    for (let i = 0; i < count; i++) place[left[i]!] = ++gone / size;
    left = left.slice(count);
  };
  for (let round = 1; round <= rounds; round++) {
    const wanted = size - Math.round(size * density ** (round / rounds));
    if (wanted <= gone) continue;
    sort();
    remove(wanted - gone);
    let offset = 0;
    for (const { parameter } of kernels) {
      const weights = numbersOf(parameter);
      for (let i = 0; i < weights.length; i++) if (place[offset + i] !== 0) weights[i] = 0;
      writeNumbers(parameter, weights);
      offset += parameter.size;
    }
  }
  sort();
  remove(left.length);
  const found: Scores = new Map();
  let offset = 0;
  for (const { name, parameter } of kernels) {
    found.set(name, place.slice(offset, offset + parameter.size));
    offset += parameter.size;
  }
  return found;
}
