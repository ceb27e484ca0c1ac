/** The oracle: what really happens to the loss when weights are removed, one group after the other. For small networks. */
import { noGrad } from '../../autograd/modes.ts';
import { numbersOf } from '../../tensor/tensor.ts';
import { type Groups, groupsOf, type Level } from '../aggregate.ts';
import {
  defineMeasure,
  forwardLosses,
  type Importance,
  inUse,
  type Measure,
  parametersOf,
  type Subject,
} from '../measure.ts';
import { writeNumbers } from '../removal.ts';

export interface OracleOptions {
  /** What is removed at once; 'none' unless given: each weight alone. */
  readonly by?: Level | undefined;
  /** The most groups that are tried, each by a pass over all the data; 20,000 unless given. More is an error. */
  readonly limit?: number | undefined;
}

/**
 * The mean loss with the weight (or its whole unit, filter or layer) at 0, minus the loss as it is. Below 0: the network is
 * better off without. The other weights of a group have the same number.
 */
export const oracle = ({ by = 'none', limit = 20_000 }: OracleOptions = {}): Measure =>
  defineMeasure({
    name: 'oracle',
    about: 'loss without it - loss, measured',
    paper: null,
    needs: 'data',
    compared: 'model',
    measure(subject, who) {
      const parameters = parametersOf(who, subject.model);
      const groups = groupsOf(who, subject.model, parameters as Importance, { by });
      if (groups.sizes.length > limit)
        throw new RangeError(
          `${who}: ${groups.sizes.length} removals, a pass over the data each, are more than the limit of ${limit}. Give a smaller network, ` +
            'groups (by), or a higher limit.',
        );
      const changes = changesOf(who, subject, groups);
      return new Map(
        groups.participants.map(({ name, parameter, offset }) => [
          name,
          Float64Array.from({ length: parameter.size }, (_, i) => changes[groups.groupOf[offset + i]!]!),
        ]),
      );
    },
  });

function changesOf(who: string, subject: Subject, { participants, groupOf, sizes }: Groups): Float64Array {
  const kept = participants.map(({ parameter }) => numbersOf(parameter));
  const base = exampleLosses(who, subject);
  if (base.length === 0) throw new Error(`${who}: there are no data: batches() gave no examples.`);
  const changes = new Float64Array(sizes.length);
  const members = membersOf(groupOf, sizes);
  const participantOf = (element: number): number => participants.findLastIndex(({ offset }) => offset <= element);
  for (let group = 0; group < sizes.length; group++) {
    const touched = new Map<number, Float32Array | Float64Array>();
    for (const element of members[group]!) {
      const at = participantOf(element);
      const numbers = touched.get(at) ?? kept[at]!.slice();
      numbers[element - participants[at]!.offset] = 0;
      touched.set(at, numbers);
    }
    try {
      for (const [at, numbers] of touched) writeNumbers(participants[at]!.parameter, numbers);
      const without = exampleLosses(who, subject);
      // Example by example: the difference of two means would lose what float64 does not show of float32 losses.
      let sum = 0;
      for (let i = 0; i < base.length; i++) sum += without[i]! - base[i]!;
      changes[group] = sum / base.length;
    } finally {
      for (const at of touched.keys()) writeNumbers(participants[at]!.parameter, kept[at]!);
    }
  }
  return changes;
}

function membersOf(groupOf: Int32Array, sizes: Int32Array): Int32Array[] {
  const members = Array.from(sizes, (size) => new Int32Array(size));
  const next = new Int32Array(sizes.length);
  groupOf.forEach((group, element) => {
    members[group]![next[group]!++] = element;
  });
  return members;
}

/** The loss of every example. */
function exampleLosses(who: string, subject: Subject): number[] {
  const all: number[] = [];
  inUse(subject.model, () => {
    for (const batch of subject.batches!())
      if (batch.labels.length > 0)
        for (const loss of noGrad(() => numbersOf(forwardLosses(who, subject, batch)))) all.push(loss);
  });
  return all;
}
