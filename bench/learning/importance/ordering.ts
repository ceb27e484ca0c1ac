/**
 * From curves to an order of measures.
 *
 * The area of a measure is that between its two curves of accuracy over the fraction that was achieved, least important first minus
 * most important first. Turning an order round turns the sign, so a random order has 0 by its nature, and what the measure
 * `random` has shows how much chance there is. Where the oracle is known, and its areas are clearly above 0, areas are divided by its
 * mean over the same networks (by the mean, since by that of a single network one divides by what may be almost 0).
 *
 * Networks are blocks: all measures saw the same ones. Ranks come from Friedman's test, groups from Nemenyi's difference, and if
 * the test finds nothing, all measures are one group. The oracle is the yardstick and no contender: it has no rank.
 */

import { areaUnder, bearable, type CurvePoint, Generator } from '../../../src/index.ts';
import { type Interval, interval } from '../interval.ts';
import type { Run } from './run.ts';
import {
  bootstrap,
  cliffsDelta,
  criticalDifference,
  friedman,
  groupsOf,
  holm,
  meanOf,
  wilcoxon,
} from './statistics.ts';
import type { Curve, Point } from './validation.ts';

/** What measures are compared within. */
export interface Setting {
  readonly task: string;
  readonly model: string;
  readonly epoch: number;
  readonly aggregation: string;
  readonly comparison: string;
  readonly replacement: string;
}

/** Paired differences from `random`, in the units of accuracy: of areas, or of how much less is forgotten. */
export interface Difference {
  readonly mean: number;
  /** Bootstrap, 95 %; null for one seed. */
  readonly low: number | null;
  readonly high: number | null;
  /** Wilcoxon's signed ranks with Holm's correction over the measures. */
  readonly p: number;
  readonly delta: number;
}

/** A row of the ranked table. */
export interface Row extends Setting {
  readonly measure: string;
  readonly seeds: number;
  /** Mean over seeds with its interval of 95 %; random is 0, and on scale 'oracle' the oracle is 1. A larger one is better. */
  readonly area: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly scale: 'oracle' | 'accuracy';
  /** The same in accuracy. */
  readonly plain: number;
  /** Mean of the largest fraction that can go, least important first, with 90 % of the accuracy left. */
  readonly tau90: number;
  /** Kendall's tau with the oracle, mean over seeds with its interval of 95 %. */
  readonly tau: number | null;
  readonly tauLow: number | null;
  readonly tauHigh: number | null;
  /** Mean rank over seeds, 1 for the best; null for the oracle. Rows that share a letter of their groups are tied. */
  readonly rank: number | null;
  readonly group: string | null;
  readonly difference: Difference | null;
  /** Seconds for a network: what the measure took for an epoch, and this cell's share of the time of its curves. */
  readonly seconds: { readonly measuring: number; readonly curves: number };
}

/** Whether measures differ in a setting; f is null where it is infinite, p where there is one block only. */
export interface Test {
  readonly blocks: number;
  readonly measures: readonly string[];
  readonly ranks: readonly number[];
  readonly groups: readonly string[];
  readonly chiSquare: number | null;
  readonly f: number | null;
  readonly p: number | null;
  readonly criticalDifference: number;
}

export interface Ordered {
  readonly setting: Setting;
  /** From the best; the oracle first. */
  readonly rows: readonly Row[];
  /** Null where there is only one measure. */
  readonly test: Test | null;
}

const LEVEL = 0.05;

const curvePoint = ({ threshold, fraction, validationLoss, accuracy }: Point): CurvePoint => {
  const loss = validationLoss ?? Number.POSITIVE_INFINITY;
  return { threshold, fraction, count: 0, accuracy, loss, cappedLoss: loss };
};

/** The area between two curves of a measure, and the largest fraction that can go. */
export function areaBetween(least: Curve, most: Curve): { area: number; tau90: number } {
  const [kept, lost] = [least.points.map(curvePoint), most.points.map(curvePoint)];
  return { area: areaUnder(kept, 'accuracy') - areaUnder(lost, 'accuracy'), tau90: bearable(kept) };
}

/** A measure on a network. */
interface Cell {
  readonly measure: string;
  readonly run: Run;
  readonly area: number;
  readonly tau90: number;
}

export const settingText = ({ task, model, epoch, aggregation, comparison, replacement }: Setting): string =>
  `${model} on ${task}, epoch ${epoch}; by ${aggregation}, compared by ${comparison}, replaced by ${replacement}`;

const keyOf = (setting: Setting): string => settingText(setting);

/** All settings in the order of the runs. */
export function orderingOf(runs: readonly Run[]): Ordered[] {
  const settings = new Map<string, { setting: Setting; cells: Cell[] }>();
  for (const run of runs) {
    const most = new Map(
      run.curves.filter(({ direction }) => direction === 'most').map((curve) => [placeText(curve), curve]),
    );
    for (const curve of run.curves) {
      if (curve.direction !== 'least') continue;
      const { epoch, aggregation, comparison, replacement } = curve;
      const setting = { task: run.task, model: run.model, epoch, aggregation, comparison, replacement };
      const entry = settings.get(keyOf(setting)) ?? { setting, cells: [] };
      settings.set(keyOf(setting), entry);
      const other = most.get(placeText(curve));
      if (other === undefined) throw new Error(`The curve of ${placeText(curve)} has no other direction.`);
      entry.cells.push({ measure: curve.measure, run, ...areaBetween(curve, other) });
    }
  }
  return [...settings.values()].map(({ setting, cells }) => ordered(setting, cells));
}

const placeText = ({ epoch, measure, aggregation, comparison, replacement }: Curve): string =>
  [epoch, measure, aggregation, comparison, replacement].join(' ');

/** The measures of some cells, and what each network gave: areas[network][measure]. Networks that lack a measure are left out. */
function tableOf(cells: readonly Cell[]) {
  const measures = [...new Set(cells.map(({ measure }) => measure))].filter((name) => name !== 'oracle');
  const byRun = groupBy(cells, ({ run }) => run);
  const areas = [...byRun.values()].flatMap((own) => {
    const row = measures.map((name) => own.find(({ measure }) => measure === name)?.area);
    return row.some((area) => area === undefined) ? [] : [row as number[]];
  });
  return { measures, areas };
}

/** Ranks and groups of measures over blocks. */
export function testOf(measures: readonly string[], areas: readonly (readonly number[])[]): Test | null {
  const blocks = areas.length;
  if (measures.length < 2 || blocks === 0) return null;
  const difference = criticalDifference(measures.length, blocks, LEVEL);
  // A single block is doubled for its ranks: there is nothing to be tested.
  const { meanRanks, chiSquare, f, p } = friedman(blocks === 1 ? [...areas, ...areas] : areas);
  const differs = blocks > 1 && p < LEVEL;
  return {
    ...{ blocks, measures, ranks: meanRanks },
    groups: groupsOf(meanRanks, differs ? difference : Number.POSITIVE_INFINITY),
    chiSquare: blocks === 1 ? null : chiSquare,
    f: blocks === 1 || !Number.isFinite(f) ? null : f,
    p: blocks === 1 ? null : p,
    criticalDifference: difference,
  };
}

function ordered(setting: Setting, cells: readonly Cell[]): Ordered {
  const { measures, areas } = tableOf(cells);
  const test = testOf(measures, areas);
  const oracle = new Map(cells.filter(({ measure }) => measure === 'oracle').map(({ run, area }) => [run, area]));
  const unit = cells.every(({ run }) => oracle.has(run)) ? unitOf([...oracle.values()]) : 0;
  const random = new Map(cells.filter(({ measure }) => measure === 'random').map(({ run, area }) => [run, area]));
  const own = groupBy(cells, ({ measure }) => measure);
  const differences = differencesOf(
    Array.from(own, ([measure, mine]) => ({
      measure,
      own: mine.map(({ area }) => area),
      beside: mine.flatMap(({ run }) => random.get(run) ?? []),
    })),
    [...random.values()],
  );
  const rows = Array.from(own, ([measure, mine]): Row => {
    const plain = meanOf(mine.map(({ area }) => area));
    const scaled = interval(mine.map(({ area }) => (unit > 0 ? area / unit : area)))!;
    const place = test?.measures.indexOf(measure) ?? -1;
    return {
      ...setting,
      ...{ measure, seeds: mine.length, area: scaled.mean, low: scaled.low, high: scaled.high },
      ...{ scale: unit > 0 ? 'oracle' : 'accuracy', plain, tau90: meanOf(mine.map(({ tau90 }) => tau90)) },
      ...tauOf(setting, measure, mine),
      rank: place < 0 ? (measure === 'oracle' ? null : 1) : test!.ranks[place]!,
      group: place < 0 ? (measure === 'oracle' ? null : 'a') : test!.groups[place]!,
      difference: differences.get(measure) ?? null,
      seconds: costOf(setting, measure, mine),
    };
  });
  return { setting, rows: rows.sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0) || b.area - a.area), test };
}

/** The mean area of the oracle; 0 where it might as well be chance: its interval reaches down to 0. */
function unitOf(areas: readonly number[]): number {
  const found = interval(areas);
  return found === null || (found.low ?? found.mean) <= 0 ? 0 : found.mean;
}

/** Entries by what `key` says of them, in the order in which they come. */
function groupBy<Entry, Key>(entries: readonly Entry[], key: (entry: Entry) => Key): Map<Key, Entry[]> {
  const groups = new Map<Key, Entry[]>();
  for (const entry of entries) {
    const own = groups.get(key(entry));
    if (own === undefined) groups.set(key(entry), [entry]);
    else own.push(entry);
  }
  return groups;
}

/**
 * How much larger the numbers of each measure are than those of `random`. `beside` is what `random` has on the same networks; a
 * measure some of whose networks lack it is left out, and so are `random` and the oracle.
 */
export function differencesOf(
  entries: readonly { readonly measure: string; readonly own: readonly number[]; readonly beside: readonly number[] }[],
  random: readonly number[],
): Map<string, Difference> {
  const compared = entries
    .filter(({ measure }) => measure !== 'random' && measure !== 'oracle')
    .filter(({ own, beside }) => own.length === beside.length)
    .map(({ measure, own, beside }) => ({ measure, own, each: own.map((value, i) => value - beside[i]!) }));
  const probabilities = holm(compared.map(({ each }) => wilcoxon(each).p));
  return new Map(
    compared.map(({ measure, own, each }, i) => {
      const bounds = bootstrap(each, { generator: new Generator(1) });
      const difference = {
        ...{ mean: meanOf(each), low: bounds?.[0] ?? null, high: bounds?.[1] ?? null },
        ...{ p: probabilities[i]!, delta: cliffsDelta(own, random) },
      };
      return [measure, difference];
    }),
  );
}

function tauOf(
  { epoch, aggregation }: Setting,
  name: string,
  cells: readonly Cell[],
): Pick<Row, 'tau' | 'tauLow' | 'tauHigh'> {
  const found = cells.map(
    ({ run }) =>
      run.agreement.find((one) => one.epoch === epoch && one.measure === name && one.aggregation === aggregation)
        ?.tau ?? null,
  );
  const tau = interval(found);
  return { tau: tau?.mean ?? null, tauLow: tau?.low ?? null, tauHigh: tau?.high ?? null };
}

function costOf({ epoch }: Setting, name: string, cells: readonly Cell[]): Row['seconds'] {
  const costs = cells.map(({ run }) => {
    const cost = run.seconds.costs.find((one) => one.epoch === epoch && one.measure === name);
    const curves = run.curves.filter((one) => one.epoch === epoch && one.measure === name).length / 2;
    return { measuring: cost?.measuring ?? 0, curves: (cost?.curves ?? 0) / curves };
  });
  return {
    measuring: meanOf(costs.map(({ measuring }) => measuring)),
    curves: meanOf(costs.map(({ curves }) => curves)),
  };
}

/** The order over several tasks and networks: every network at its last epoch is a block. */
export interface Overall extends Pick<Setting, 'aggregation' | 'comparison' | 'replacement'> {
  readonly test: Test;
}

export function overallOf(runs: readonly Run[]): Overall[] {
  if (new Set(runs.map(({ task, model }) => `${task} ${model}`)).size < 2) return [];
  // The last epoch of each network, under one name.
  const last = runs.map((run) => {
    const epoch = Math.max(...run.curves.map((curve) => curve.epoch));
    return {
      ...run,
      task: 'all',
      model: 'all',
      curves: run.curves.filter((curve) => curve.epoch === epoch).map((curve) => ({ ...curve, epoch: 0 })),
    };
  }) as unknown as Run[];
  return orderingOf(last).flatMap(({ setting: { aggregation, comparison, replacement }, test }) =>
    test === null ? [] : [{ aggregation, comparison, replacement, test }],
  );
}

/** Mean accuracies of a direction at each threshold over seeds, with their intervals, over the mean of the fractions achieved. */
export function bandOf(curves: readonly Curve[]): { readonly x: number; readonly y: Interval }[] {
  const [first] = curves;
  if (first === undefined) return [];
  return first.points.map((_, i) => ({
    x: meanOf(curves.map(({ points }) => points[i]!.fraction)),
    y: interval(curves.map(({ points }) => points[i]!.accuracy))!,
  }));
}

/** The ranked table of a setting for the terminal and the report. */
export function orderingRows({ rows }: Ordered): string[][] {
  return [
    [
      'measure',
      'rank',
      'group',
      'area',
      '95 %',
      'tau90',
      'tau with oracle',
      '95 %',
      'above random',
      '95 %',
      'p (Holm)',
      "Cliff's delta",
      's to measure',
      's a cell',
    ],
    ...rows.map(({ measure, rank, group, area, low, high, tau90, tau, tauLow, tauHigh, difference, seconds }) => [
      ...[measure, number(rank, 2), group ?? '-', number(area), range(low, high), number(tau90, 2)],
      ...[number(tau, 2), range(tauLow, tauHigh, 2)],
      ...(difference === null
        ? ['-', '-', '-', '-']
        : [
            number(difference.mean),
            range(difference.low, difference.high),
            number(difference.p),
            number(difference.delta, 2),
          ]),
      ...[number(seconds.measuring, 2), number(seconds.curves, 2)],
    ]),
  ];
}

/** A number as it stands in tables. */
export const number = (value: number | null, digits = 3): string => (value === null ? '-' : value.toFixed(digits));

export const range = (low: number | null, high: number | null, digits = 3): string =>
  low === null || high === null ? '-' : `${low.toFixed(digits)} to ${high.toFixed(digits)}`;
