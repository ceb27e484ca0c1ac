/** `npm start -- rules`: trains the same data by every rule that is asked for, and tells how they compare. */

import { aboutRun } from '../about.ts';
import {
  defineCommand,
  MOST_EPOCHS,
  namesOption,
  seedsOption,
  textOption,
  type ValuesOf,
  wholeNumberOption,
} from '../command-line.ts';
import { loadData } from '../data.ts';
import type { LabelledImages } from '../images.ts';
import { createProgress } from '../progress.ts';
import { checkWritable, writeJson, writeText } from '../result-file.ts';
import { percent, table } from '../table.ts';
import { UserError } from '../user-error.ts';
import { angleCells } from './angles.ts';
import type { Configuration } from './configuration.ts';
import { CONFIGURATIONS } from './configurations.ts';
import { type Measurement, measure, type Row } from './measure.ts';

export const RULES_OPTIONS = {
  rules: namesOption(
    'NAMES',
    'only these rules, separated by commas (default: all, see below)',
    CONFIGURATIONS.map(({ name }) => name),
  ),
  data: textOption(
    'DIR',
    'train on the IDX files in this folder (MNIST, Fashion-MNIST) instead of the embedded digits',
  ),
  epochs: wholeNumberOption('N', "passes over the training images (default: each rule's own)", {
    least: 1,
    most: MOST_EPOCHS,
    initial: null,
  }),
  seed: seedsOption('seed of weights and order; several, separated by commas, are run one after another (default: 1)'),
  json: textOption('FILE', 'write the results to this file'),
  html: textOption('FILE', 'write a report with plots to this file, one page that needs nothing else'),
};

export type RulesOptions = ValuesOf<typeof RULES_OPTIONS>;

export const rulesCommand = defineCommand({
  name: 'rules',
  about: 'compares learning rules on the same data',
  description: `Trains networks on the same data by different learning rules, and reports their accuracy on held-out images, what
a step costs, and how far their updates point away from those of backpropagation.`,
  epilogue: `The rules:

${CONFIGURATIONS.map(({ name, about }) => `  ${name}: ${about}\n`).join('')}`,
  options: RULES_OPTIONS,
  run: (options, output) => runRules(options, CONFIGURATIONS, output),
});

/** Trains by those of the configurations that the options name, in the order of the options. */
export async function runRules(
  options: RulesOptions,
  configurations: readonly Configuration[],
  output: NodeJS.WriteStream,
): Promise<void> {
  const json = checkWritable('--json', options.json);
  const html = checkWritable('--html', options.html);
  if (json !== null && json.path === html?.path) {
    throw new UserError(`--html ${options.html}: --json names the same file.`);
  }
  const chosen = options.rules.flatMap((rule) => configurations.filter(({ name }) => name === rule));
  const data = await loadData(options.data);
  for (const configuration of chosen) checkSize(configuration, data.train);
  const about = aboutRun(data.name, commandOf(options));
  const { train, test } = data;
  output.write(
    `${data.name}: ${train.count} training and ${test.count} test images of ${train.height} x ${train.width} pixels\n`,
  );
  const measurements: Measurement[] = [];
  for (const configuration of chosen) {
    for (const seed of options.seed) {
      const label = options.seed.length === 1 ? configuration.name : `${configuration.name}, seed ${seed}`;
      const epochs = options.epochs ?? configuration.epochs;
      measurements.push(measure(data, configuration, { epochs, seed, label }, createProgress(output)));
    }
  }
  const rows = measurements.map(({ row }) => row);
  output.write(`\n${rulesTable(rows)}`);
  if (json !== null) writeJson(json, { rows, about });
  if (html !== null) {
    // Only now: the plotting library takes longer to load than the rest of the program.
    const { report } = await import('./report.ts');
    writeText(html, report({ configurations: chosen, measurements, data, about }));
  }
}

/** Before any training: no rule is to be trained for minutes only for the next to be refused. */
function checkSize({ name, layers }: Configuration, { height, width }: LabelledImages): void {
  if (height * width !== layers[0]) {
    throw new UserError(
      `--rules ${name}: the network takes images of ${layers[0]} pixels, but they have ${height} x ${width}.`,
    );
  }
}

/** The words after `npm start --` that ask for these options, all of them named. */
function commandOf(options: RulesOptions): string[] {
  const given = Object.entries(options).flatMap(([name, value]) =>
    value === null ? [] : [`--${name}`, String(value)],
  );
  return ['rules', ...given];
}

/** A line a row; the angles are the last column, as their number differs from rule to rule. */
export function rulesTable(rows: readonly Row[]): string {
  return table([
    ['rule', 'layers', 'batch', 'epochs', 'seed', 'test accuracy', 'prequential', 'multiply-adds', 'steps/s', 'angles'],
    ...rows.map((row) => [
      row.rule,
      row.layers.join('-'),
      String(row.batch),
      String(row.epochs),
      String(row.seed),
      percent(row.accuracy),
      percent(row.prequential),
      row.multiplyAdds.toFixed(0),
      row.stepsPerSecond.toFixed(0),
      angleCells(row.angles).join(' '),
    ]),
  ]);
}
