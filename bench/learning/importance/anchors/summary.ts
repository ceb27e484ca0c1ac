/**
 * From trials to an order of measures as anchors, and how far it is the order by removal.
 *
 * A firmer anchor keeps more of the first half and learns less of the second; which of the two is wanted is not for a measure to
 * say. So measures are compared at matched learning: from the network that no weight of may move, over all strengths, to the network
 * without an anchor, the accuracies on both halves make a path. Its height over an accuracy on the second half is what is left of
 * the first when so much of the second is learned, and the forgetting of a measure is what the first half had, minus the mean height
 * over all that there is to learn. Both ends are the same for all measures of a network, and no strength is chosen.
 *
 * What a user would get is the other number: the mean of both accuracies at the one strength that is best on the other seeds.
 */

import { Generator } from '../../../../src/index.ts';
import { interval } from '../../interval.ts';
import { type Difference, differencesOf, type Setting, type Test, testOf } from '../ordering.ts';
import { bootstrapOf, kendall, meanOf } from '../statistics.ts';
import type { Accuracies, AnchorRun, Trial } from './run.ts';

/** A measure in a setting, over seeds. Means with their intervals of 95 %. */
export interface AnchorRow extends Setting {
  readonly measure: string;
  readonly seeds: number;
  /** Accuracy on the first half that is lost, at matched learning of the second. */
  readonly forgetting: number;
  readonly low: number | null;
  readonly high: number | null;
  /** Mean of both accuracies at the strength that is best on the other seeds; null for one seed. */
  readonly both: number | null;
  /** Mean rank over seeds, 1 for the least forgetting; null for the oracle. */
  readonly rank: number | null;
  readonly group: string | null;
  /** How much less is forgotten than by a random order, in pairs. */
  readonly difference: Difference | null;
  /** The area between the two curves of removal, in accuracy, and its mean rank; 1 for the largest. */
  readonly area: number;
  readonly areaLow: number | null;
  readonly areaHigh: number | null;
  readonly areaRank: number | null;
}

/** Kendall's tau of two orders of measures, with its interval of 95 % from seeds drawn anew; null for one seed. */
export interface Accord {
  readonly measures: number;
  readonly tau: number;
  readonly low: number | null;
  readonly high: number | null;
}

/** What anchors are compared with; means over seeds. */
export interface Reference {
  readonly before: Accuracies;
  readonly free: Accuracies;
  /** The same precision for all weights; null where it cannot be said. */
  readonly equal: { readonly forgetting: number | null; readonly both: number | null };
}

export interface AnchorOrdered {
  readonly setting: Setting;
  /** From the least forgetting; the oracle, which is no contender, by its forgetting among them. */
  readonly rows: readonly AnchorRow[];
  /** Null where there is only one measure. */
  readonly test: Test | null;
  readonly reference: Reference;
  /** Of the order by removal with that by forgetting, and with that by the mean of both accuracies; null for fewer than two measures. */
  readonly byForgetting: Accord | null;
  readonly byBoth: Accord | null;
  /** Means of the accuracies of each measure at each strength, for a plot. */
  readonly paths: readonly { readonly measure: string; readonly trials: readonly Trial[] }[];
}

/**
 * What is lost of the first half, a mean over all accuracies on the second between that before and that without an anchor. null where
 * nothing was learned without an anchor.
 */
export function forgettingOf(before: Accuracies, free: Accuracies, trials: readonly Trial[]): number | null {
  const learned = free.second - before.second;
  if (!(learned > 0)) return null;
  const path = [before, ...[...trials].sort((a, b) => b.strength - a.strength), free];
  let area = 0;
  for (const [i, to] of path.entries()) {
    const from = path[i - 1] ?? to;
    area += ((to.second - from.second) * (from.first + to.first)) / 2;
  }
  return before.first - area / learned;
}

/** For each network the mean of both accuracies at the strength that is best on the others; null for one network. */
export function bothOf(networks: readonly (readonly Trial[])[]): number[] | null {
  const [first] = networks;
  if (networks.length < 2 || first === undefined) return null;
  const table = networks.map((trials) => trials.map((trial) => (trial.first + trial.second) / 2));
  return table.map((own, network) => {
    const others = table.filter((_, i) => i !== network);
    const means = first.map((_, place) => meanOf(others.map((each) => each[place]!)));
    return own[means.indexOf(Math.max(...means))]!;
  });
}

/** All settings in the order of the runs. */
export function anchorOrderingOf(runs: readonly AnchorRun[]): AnchorOrdered[] {
  const settings = new Map<string, { setting: Setting; runs: AnchorRun[] }>();
  for (const run of runs)
    for (const { aggregation, comparison, replacement } of run.removed) {
      const setting = { task: run.task, model: run.model, epoch: run.epoch, aggregation, comparison, replacement };
      const key = JSON.stringify(setting);
      const entry = settings.get(key) ?? { setting, runs: [] };
      settings.set(key, entry);
      if (!entry.runs.includes(run)) entry.runs.push(run);
    }
  return [...settings.values()].flatMap(({ setting, runs: own }) => ordered(setting, own) ?? []);
}

/** A measure by network, in the order of the networks. */
interface Cell {
  readonly measure: string;
  readonly areas: readonly number[];
  /** The forgetting with its sign turned: larger is better. */
  readonly kept: readonly number[];
  readonly both: readonly number[] | null;
  readonly trials: readonly (readonly Trial[])[];
}

function ordered(setting: Setting, all: readonly AnchorRun[]): AnchorOrdered | null {
  // Without learning there is nothing to be matched.
  const runs = all.filter(({ before, free }) => forgettingOf(before, free, []) !== null);
  if (runs.length === 0) return null;
  const names = [...new Set(runs.flatMap(({ anchored }) => anchored.map(({ measure }) => measure)))];
  const cells = names.flatMap((measure) => cellOf(setting, runs, measure) ?? []);
  if (cells.length === 0) return null;
  const contenders = cells.filter(({ measure }) => measure !== 'oracle');
  const measures = contenders.map(({ measure }) => measure);
  const tableOf = (value: (cell: Cell) => readonly number[]): number[][] =>
    runs.map((_, network) => contenders.map((cell) => value(cell)[network]!));
  const test = testOf(
    measures,
    tableOf(({ kept }) => kept),
  );
  const removal = testOf(
    measures,
    tableOf(({ areas }) => areas),
  );
  const random = cells.find(({ measure }) => measure === 'random')?.kept ?? [];
  const differences = differencesOf(
    cells.map(({ measure, kept }) => ({ measure, own: kept, beside: random })),
    random,
  );
  const rows = cells.map((cell): AnchorRow => {
    const { measure } = cell;
    const [lost, area] = [interval(cell.kept.map((kept) => -kept))!, interval(cell.areas)!];
    const place = measures.indexOf(measure);
    const of = <Value>(values: readonly Value[] | undefined, only: Value): Value | null =>
      place < 0 ? null : (values?.[place] ?? only);
    return {
      ...setting,
      ...{ measure, seeds: runs.length },
      ...{ forgetting: lost.mean, low: lost.low, high: lost.high },
      both: cell.both === null ? null : meanOf(cell.both),
      ...{ rank: of(test?.ranks, 1), group: of(test?.groups, 'a'), difference: differences.get(measure) ?? null },
      ...{ area: area.mean, areaLow: area.low, areaHigh: area.high },
      areaRank: of(removal?.ranks, 1),
    };
  });
  return {
    setting,
    rows: rows.sort((a, b) => a.forgetting - b.forgetting),
    ...{ test, reference: referenceOf(runs) },
    byForgetting: accordOf(contenders, ({ kept }) => kept),
    byBoth: accordOf(contenders, ({ both }) => both),
    paths: cells.map(({ measure, trials }) => ({ measure, trials: meanTrials(trials) })),
  };
}

/** null where a network lacks the measure. */
function cellOf(
  { aggregation, comparison, replacement }: Setting,
  runs: readonly AnchorRun[],
  measure: string,
): Cell | null {
  const isIt = (one: { measure: string; aggregation: string; comparison: string }): boolean =>
    one.measure === measure && one.aggregation === aggregation && one.comparison === comparison;
  const found = runs.flatMap(({ before, free, anchored, removed }) => {
    const trials = anchored.find(isIt)?.trials;
    const area = removed.find((one) => isIt(one) && one.replacement === replacement)?.area;
    const lost = trials === undefined ? null : forgettingOf(before, free, trials);
    return trials === undefined || area === undefined || lost === null ? [] : [{ trials, area, kept: -lost }];
  });
  if (found.length < runs.length) return null;
  const trials = found.map((one) => one.trials);
  return {
    ...{ measure, trials, both: bothOf(trials) },
    areas: found.map(({ area }) => area),
    kept: found.map(({ kept }) => kept),
  };
}

/** How far measures stand in the same order by removal and by `value`, larger being better, both means over networks. */
function accordOf(cells: readonly Cell[], value: (cell: Cell) => readonly number[] | null): Accord | null {
  const pairs = cells.flatMap((cell) => {
    const values = value(cell);
    return values === null ? [] : [{ areas: cell.areas, values }];
  });
  const networks = pairs[0]?.areas.length ?? 0;
  const tauOf = (places: ArrayLike<number>): number | null => {
    const mean = (values: readonly number[]): number => {
      let sum = 0;
      for (let i = 0; i < places.length; i++) sum += values[places[i]!]!;
      return sum / places.length;
    };
    return kendall(
      pairs.map(({ areas }) => mean(areas)),
      pairs.map(({ values }) => mean(values)),
    );
  };
  const tau = pairs.length < 2 ? null : tauOf(Array.from({ length: networks }, (_, i) => i));
  if (tau === null) return null;
  // A sample in which all measures tie says nothing for either order.
  const bounds = bootstrapOf(networks, (places) => tauOf(places) ?? 0, { generator: new Generator(1) });
  return { measures: pairs.length, tau, low: bounds?.[0] ?? null, high: bounds?.[1] ?? null };
}

function referenceOf(runs: readonly AnchorRun[]): Reference {
  const mean = (of: (run: AnchorRun) => Accuracies): Accuracies => ({
    first: meanOf(runs.map((run) => of(run).first)),
    second: meanOf(runs.map((run) => of(run).second)),
  });
  const lost = runs.map(({ before, free, equal }) => forgettingOf(before, free, equal));
  const both = bothOf(runs.map(({ equal }) => equal));
  return {
    ...{ before: mean(({ before }) => before), free: mean(({ free }) => free) },
    equal: { forgetting: interval(lost)?.mean ?? null, both: both && meanOf(both) },
  };
}

const meanTrials = (networks: readonly (readonly Trial[])[]): Trial[] =>
  (networks[0] ?? []).map(({ strength }, place) => ({
    strength,
    first: meanOf(networks.map((trials) => trials[place]!.first)),
    second: meanOf(networks.map((trials) => trials[place]!.second)),
  }));
