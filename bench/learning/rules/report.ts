/** The report of a comparison as one HTML page. */

import type { About } from '../about.ts';
import type { DataSet } from '../images.ts';
import { aboutList, definitions, escapeHtml, figure, html, page, wideTable } from '../page.ts';
import { percent } from '../table.ts';
import { angleCells } from './angles.ts';
import { dotPlot, linePlot } from './charts.ts';
import type { Configuration } from './configuration.ts';
import type { Measurement } from './measure.ts';

export interface ReportContents {
  readonly configurations: readonly Configuration[];
  /** One for each rule and seed. */
  readonly measurements: readonly Measurement[];
  readonly data: DataSet;
  readonly about: About;
}

export function report(contents: ReportContents): string {
  const { configurations, measurements, data, about } = contents;
  const { train, test } = data;
  const seeds = [...new Set(measurements.map(({ row }) => row.seed))];
  const trained =
    seeds.length === 1 ? `seed ${seeds[0]}` : `${seeds.length} seeds (${seeds.join(', ')}), each from new weights`;
  return page(
    'Learning rules compared',
    `${html`<p>${about.data}: ${grouped(train.count)} training and ${grouped(test.count)} held-out images of ${train.height} x ${train.width} pixels; ${trained}.</p>`}
${definitions(configurations.map(({ name, about }) => [name, about]))}
<h2>Results</h2>
${resultsTable(measurements)}
<p>${RESULTS_NOTE}</p>
${figure('Learning curves', learningCurves(measurements), LEARNING_NOTE)}
${figure('Held-out accuracy', heldOutAccuracy(configurations, measurements), HELD_OUT_NOTE)}
<h2>Angle to backpropagation</h2>
${angleSection(configurations, measurements)}
<h2>How this was made</h2>
${aboutList(about)}`,
  );
}

const RESULTS_NOTE = `Test accuracy: share of the held-out images that are classified rightly after training. Prequential: share of the
training images that were classified rightly just before they were learned from, in the last epoch. Multiply-adds: those of
matrix products, convolutions and triangular systems in a training step, forward and backward, for each image; elementwise work is
not counted. Steps/s: 1 / the median time of a step on the machine named below. Angle: between the rule's weight update and
that of backpropagation after training, by layer from the pixels on.`;

const LEARNING_NOTE = `Share of training images that the network had right just before it learned from them, over the images learned from
so far; each point is the mean over the images since the point before. One line for each seed.`;

const HELD_OUT_NOTE = `Share of the held-out images that are classified rightly after training. One dot for each seed. The axis does not
begin at 0.`;

const ANGLE_NOTE = `Degrees between the rule's weight update and that of backpropagation at the same weights, by layer; the mean over the
same four batches of training images at each point. 0 is the same direction; from 90 on, a small step that way does not lower the loss.
One line for each layer and seed.`;

function learningCurves(measurements: readonly Measurement[]): string {
  const lines = measurements.map(({ row, curve }) => ({
    name: row.rule,
    points: curve.map(({ samples, accuracy }) => [samples, 100 * accuracy] as const),
  }));
  const lowest = Math.min(...lines.flatMap(({ points }) => points.map(([, y]) => y)));
  return linePlot({
    label: 'Prequential accuracy of each rule over the images learned from',
    lines,
    ...{ xTitle: 'training images', yTitle: 'accuracy, %', from: Math.floor(lowest / 10) * 10, to: 100, interval: 10 },
  });
}

function heldOutAccuracy(configurations: readonly Configuration[], measurements: readonly Measurement[]): string {
  const rows = configurations.map(({ name }) => ({
    name,
    values: measurements.filter(({ row }) => row.rule === name).map(({ row }) => 100 * row.accuracy),
  }));
  return dotPlot({ label: 'Held-out accuracy of each rule', rows, xTitle: 'held-out accuracy, %' });
}

/** A plot for each rule that has angles, and a sentence that names the others. */
function angleSection(configurations: readonly Configuration[], measurements: readonly Measurement[]): string {
  const isCompared = ({ name }: Configuration) =>
    measurements.some(({ row, angles }) => row.rule === name && angles.length > 0);
  const compared = configurations.filter(isCompared);
  const others = configurations.filter((configuration) => !isCompared(configuration));
  const plots = compared.map(({ name }) => {
    const label = `Angle of ${name} to backpropagation, by layer, over the images learned from`;
    const of = measurements.filter(({ row }) => row.rule === name);
    return `<h3>${escapeHtml(name)}</h3>\n<figure>\n${anglePlot(label, of)}\n</figure>\n`;
  });
  const rest = others.map(({ name }) => name).join(', ');
  const missing = others.length === 0 ? '' : html`<p>Without updates to compare: ${rest}.</p>\n`;
  return `${plots.join('')}${compared.length === 0 ? '' : `<p>${ANGLE_NOTE}</p>\n`}${missing}`;
}

function anglePlot(label: string, measurements: readonly Measurement[]): string {
  const lines = measurements.flatMap(({ angles }) =>
    Object.keys(angles[0]?.angles ?? {}).map((layer) => ({
      name: layer,
      points: angles.flatMap(({ samples, angles }) => {
        const degrees = angles[layer] ?? null;
        return degrees === null ? [] : [[samples, degrees] as const];
      }),
    })),
  );
  const highest = Math.max(90, ...lines.flatMap(({ points }) => points.map(([, y]) => y)));
  const to = Math.ceil(highest / 30) * 30;
  return linePlot({ label, lines, xTitle: 'training images', yTitle: 'angle, degrees', from: 0, to, interval: 30 });
}

function resultsTable(measurements: readonly Measurement[]): string {
  const head = [
    'rule',
    'layers',
    'batch',
    'epochs',
    'seed',
    'test accuracy',
    'prequential',
    'multiply-adds',
    'steps/s',
  ];
  const lines = measurements.map(({ row }) => [
    row.rule,
    row.layers.join('-'),
    String(row.batch),
    String(row.epochs),
    String(row.seed),
    percent(row.accuracy),
    percent(row.prequential),
    grouped(Math.round(row.multiplyAdds)),
    grouped(Math.round(row.stepsPerSecond)),
    angleCells(row.angles).join(' '),
  ]);
  return wideTable([...head, 'angle'], lines);
}

/** 503552 as '503,552'. */
const grouped = (count: number): string => count.toLocaleString('en-US');
