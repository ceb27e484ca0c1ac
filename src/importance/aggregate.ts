/**
 * Aggregation: from the importance of weights to that of groups of them: units, convolution filters, layers.
 *
 * A unit is all axes of the kernel but the output's, its bias included: what comes into one output. (Averaging over the
 * outputs instead, as has been published, gives the importance of inputs, and one number for all biases of a layer.)
 */
import type { Module } from '../nn/module.ts';
import { tensor } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import type { Importance } from './measure.ts';
import { type ParameterKind, type Placed, parameterKinds, shownLayer, structureOf } from './structure.ts';

/** What is a group: a weight, a unit, a filter of a convolution (and single weights elsewhere), a layer. */
export type Level = 'none' | 'unit' | 'filter' | 'layer';
/** How the importance of a group comes from that of its weights. */
export type Aggregate = 'mean' | 'min' | 'max' | 'sum';

export interface AggregateOptions {
  /** 'none' unless given. */
  readonly by?: Level | undefined;
  /** 'mean' unless given. */
  readonly how?: Aggregate | undefined;
  /** Which kinds of parameters take part; all unless given. */
  readonly parameters?: readonly ParameterKind[] | undefined;
  /** Which layers take part, by the path of their module; all unless given. */
  readonly layers?: readonly string[] | undefined;
}

const levels: Readonly<Record<Level, string>> = {
  none: 'single weights',
  unit: 'units',
  filter: 'filters of convolutions, single weights elsewhere',
  layer: 'layers',
};

const begin: Readonly<Record<Aggregate, number>> = { mean: 0, sum: 0, min: Infinity, max: -Infinity };
const combine: Readonly<Record<Aggregate, (so: number, next: number) => number>> = {
  mean: (so, next) => so + next,
  sum: (so, next) => so + next,
  min: Math.min,
  max: Math.max,
};

/** A parameter that takes part, and where its elements stand among all that do. */
export interface Participant extends Placed {
  readonly offset: number;
  readonly values: Float32Array | Float64Array | null;
}

/** Weights in groups: element i of all that take part is of group `groupOf[i]`. */
export interface Groups {
  readonly participants: readonly Participant[];
  readonly groupOf: Int32Array;
  /** By group: importance, number of weights, the participant that it begins with, and the unit there. */
  readonly values: Float32Array;
  readonly sizes: Int32Array;
  readonly first: Int32Array;
  readonly unit: Int32Array;
  /** Parameters that do not take part: of other kinds and layers, or not measured. */
  readonly aside: readonly string[];
}

/** A sentence with what there is, unless `table` has the entry. */
export function checkOneOf(who: string, what: string, value: unknown, table: readonly string[]): void {
  if (!table.includes(value as string))
    throw new RangeError(`${who}: there is no ${what} ${String(value)}; there are ${table.join(', ')}.`);
}

/** Puts weights into groups. A parameter without importance goes with its group, and alone does not take part. */
export function groupsOf(who: string, model: Module, importance: Importance, options: AggregateOptions = {}): Groups {
  const { by = 'none', how = 'mean', parameters = parameterKinds, layers } = options;
  checkOneOf(who, 'aggregation by', by, Object.keys(levels));
  checkOneOf(who, 'aggregation', how, Object.keys(combine));
  for (const kind of parameters) checkOneOf(who, 'kind of parameter', kind, parameterKinds);
  const places = structureOf(who, model);
  checkLayers(who, places, layers);
  checkImportance(who, places, importance);

  const numbers = new Map<string, number>();
  const [sizes, first, unit]: [number[], number[], number[]] = [[], [], []];
  const wanted = places.filter(
    ({ kind, layer }) => parameters.includes(kind) && (layers === undefined || layers.includes(layer)),
  );
  const grouped = (place: Placed): boolean => by === 'unit' || by === 'layer' || (by === 'filter' && place.convolution);
  const measuredLayers = new Set(wanted.filter(({ name }) => importance.has(name)).map(({ layer }) => layer));
  const taking = wanted.filter(
    (place) => importance.has(place.name) || (grouped(place) && measuredLayers.has(place.layer)),
  );
  if (taking.length === 0)
    throw new Error(
      `${who}: no parameter takes part: of kinds ${parameters.join(', ')}${layers === undefined ? '' : ` in ${layers.join(', ')}`} none has an ` +
        'importance.',
    );
  const participants: Participant[] = [];
  let total = 0;
  for (const place of taking) {
    const values = importance.get(place.name);
    participants.push({ ...place, offset: total, values: values === undefined ? null : numbersOf(values) });
    total += place.parameter.size;
  }
  const groupOf = new Int32Array(total);
  participants.forEach((participant, index) => {
    const { parameter, perUnit, layer, offset } = participant;
    const joined = grouped(participant);
    for (let i = 0; i < parameter.size; i++) {
      let group: number | undefined;
      const own = Math.floor(i / perUnit);
      if (joined && (by === 'layer' ? i > 0 : i % perUnit > 0)) group = groupOf[offset + i - 1];
      else if (joined) {
        const key = by === 'layer' ? layer : `${layer}\n${own}`;
        group = numbers.get(key);
        if (group === undefined) numbers.set(key, sizes.length);
      }
      if (group === undefined) {
        group = sizes.length;
        sizes.push(0);
        first.push(index);
        unit.push(own);
      }
      groupOf[offset + i] = group;
      sizes[group]!++;
    }
  });
  return {
    participants,
    groupOf,
    values: valuesOf(participants, groupOf, sizes.length, how),
    sizes: Int32Array.from(sizes),
    first: Int32Array.from(first),
    unit: Int32Array.from(unit),
    aside: places.filter((place) => !taking.includes(place)).map(({ name }) => name),
  };
}

function valuesOf(
  participants: readonly Participant[],
  groupOf: Int32Array,
  count: number,
  how: Aggregate,
): Float32Array {
  const values = new Float64Array(count).fill(begin[how]);
  const measured = new Int32Array(count);
  const step = combine[how];
  for (const { offset, values: own } of participants) {
    if (own === null) continue;
    for (let i = 0; i < own.length; i++) {
      const group = groupOf[offset + i]!;
      values[group] = step(values[group]!, own[i]!);
      measured[group]!++;
    }
  }
  // -0 and 0 are the same importance.
  return Float32Array.from(values, (value, group) => (how === 'mean' ? value / measured[group]! : value) + 0);
}

function checkLayers(who: string, places: readonly Placed[], layers: readonly string[] | undefined): void {
  const there = new Set(places.map(({ layer }) => layer));
  for (const layer of layers ?? [])
    if (!there.has(layer))
      throw new RangeError(
        `${who}: the model has no layer named ${layer}; it has ${[...there].map(shownLayer).join(', ')}.`,
      );
}

function checkImportance(who: string, places: readonly Placed[], importance: Importance): void {
  if (!(importance instanceof Map))
    throw new TypeError(`${who}: importance is a Map from names of parameters to tensors, as a measure gives it.`);
  const there = new Map(places.map(({ name, parameter }) => [name, parameter]));
  for (const [name, values] of importance as ReadonlyMap<string, Tensor>) {
    const parameter = there.get(name);
    if (parameter === undefined)
      throw new RangeError(`${who}: there is an importance of ${name}, and the model has no parameter of that name.`);
    if (!sameShape(values.shape, parameter.shape))
      throw new RangeError(
        `${who}: the importance of ${name} has shape ${showShape(values.shape)}, the parameter ${showShape(parameter.shape)}.`,
      );
    if (numbersOf(values).some(Number.isNaN)) throw new RangeError(`${who}: the importance of ${name} holds NaN.`);
  }
}

/**
 * The importance of groups, written to each of their weights: shapes stay as they are. A parameter that was not measured but
 * belongs to a unit or layer that was (a bias, where only kernels were measured) gets the importance of its group.
 *
 *     const layer = new Sequential(new Linear(2, 2));
 *     const importance = new Map([['0.weight', tensor([[1, 3], [5, 9]])], ['0.bias', tensor([2, 1])]]);
 *     aggregate(layer, importance, { by: 'unit', how: 'sum' }).get('0.bias').toArray(); // [6, 15]
 */
export function aggregate(model: Module, importance: Importance, options: AggregateOptions = {}): Importance {
  const { participants, groupOf, values } = groupsOf('aggregate', model, importance, options);
  const found = new Map<string, Tensor>();
  for (const { name, parameter, offset } of participants) {
    const own = new Float32Array(parameter.size);
    for (let i = 0; i < own.length; i++) own[i] = values[groupOf[offset + i]!]!;
    found.set(name, tensor(own, parameter.shape));
  }
  return found;
}
