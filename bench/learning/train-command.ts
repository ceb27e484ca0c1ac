/** `npm start`: gets the data, trains the models one after the other, prints a table and writes the JSON file. */

import { Generator, kernelSet } from '../../src/index.ts';
import { drawDigits } from './digits.ts';
import { loadIdxFolder } from './idx-folder.ts';
import type { DataSet, LabelledImages } from './images.ts';
import { MODELS, type ModelName } from './models.ts';
import type { TrainingOptions } from './options.ts';
import { createProgress } from './progress.ts';
import { checkWritable, writeJson } from './result-file.ts';
import { type Run, trainAndTest } from './training.ts';
import { UserError } from './user-error.ts';

/** The embedded data set is one and the same whatever --seed says, so that its accuracies can be compared. */
const EMBEDDED = { name: 'embedded digits', train: { count: 20_000, seed: 1 }, test: { count: 4_000, seed: 2 } };

export async function runTraining(options: TrainingOptions, output: NodeJS.WriteStream): Promise<void> {
  const target = options.json === null ? null : checkWritable(options.json);
  const data = options.data === null ? embeddedDigits() : await loadIdxFolder(options.data);
  const { train, test } = data;
  for (const model of options.models) checkSize(model, train);
  output.write(
    `${data.name}: ${train.count} training and ${test.count} test images of ${train.height} x ${train.width} pixels\n`,
  );
  const runs = options.models.map((model) => {
    const recipe = MODELS[model];
    const epochs = options.epochs ?? (options.data === null ? recipe.epochs : recipe.epochsOnFiles);
    const learningRate = options.learningRate ?? recipe.learningRate;
    const { batchSize, seed } = options;
    return trainAndTest(data, { model, epochs, batchSize, learningRate, seed }, createProgress(output));
  });
  output.write(`\n${table(runs)}`);
  if (target !== null) {
    const made = { date: new Date().toISOString(), node: process.versions.node, kernels: kernelSet() };
    writeJson(target, { data: data.name, ...made, runs });
  }
}

/** Before any training: the first model is not to be trained for a minute only for the second to be refused. */
export function checkSize(model: ModelName, { height, width }: LabelledImages): void {
  const { smallestSide } = MODELS[model];
  if (height < smallestSide || width < smallestSide) {
    throw new UserError(
      `--model ${model} needs images of ${smallestSide} x ${smallestSide} pixels or more, but they have ${height} x ${width}.`,
    );
  }
}

export function embeddedDigits(): DataSet {
  const { name, train, test } = EMBEDDED;
  return {
    name,
    train: drawDigits(train.count, new Generator(train.seed)),
    test: drawDigits(test.count, new Generator(test.seed)),
  };
}

/** A head and one row a run; the names flush left, the numbers flush right. */
export function table(runs: readonly Run[]): string {
  const rows = [
    ['model', 'parameters', 'test accuracy', 'seconds', 'samples/s'],
    ...runs.map((run) => [
      run.model,
      String(run.parameters),
      `${(100 * run.accuracy).toFixed(2)} %`,
      run.seconds.toFixed(1),
      run.samplesPerSecond.toFixed(0),
    ]),
  ];
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const line = ([name = '', ...numbers]: string[]) =>
    [name.padEnd(width(0)), ...numbers.map((cell, i) => cell.padStart(width(i + 1)))].join('  ');
  return rows.map((row) => `${line(row)}\n`).join('');
}
