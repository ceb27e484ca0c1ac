/** `npm start`: gets the data, trains the models one after the other, prints a table and writes the JSON file. */

import { kernelSet } from '../../src/index.ts';
import {
  type Command,
  defineCommand,
  LARGEST_SEED,
  MOST_EPOCHS,
  type Option,
  positiveNumberOption,
  textOption,
  type ValuesOf,
  wholeNumberOption,
} from './command-line.ts';
import { loadData } from './data.ts';
import type { LabelledImages } from './images.ts';
import { MODEL_NAMES, MODELS, type ModelName } from './models.ts';
import { createProgress } from './progress.ts';
import { checkWritable, writeJson } from './result-file.ts';
import { percent, table } from './table.ts';
import { type Run, trainAndTest } from './training.ts';
import { UserError } from './user-error.ts';

const modelOption: Option<readonly ModelName[]> = {
  placeholder: 'NAME',
  about: `train only this model: ${MODEL_NAMES.join(', ')} (default: mlp and cnn)`,
  initial: ['mlp', 'cnn'],
  read(option, text) {
    const name = MODEL_NAMES.find((known) => known === text);
    if (name === undefined)
      throw new UserError(`${option} must be one of ${MODEL_NAMES.join(', ')}, but it is '${text}'.`);
    return [name];
  },
};

/** Where the initial value is null, each model has a default of its own. A step of the CNN with 1024 images takes 600 MB. */
export const TRAIN_OPTIONS = {
  data: textOption(
    'DIR',
    'train on the IDX files in this folder (MNIST, Fashion-MNIST) instead of the embedded digits',
  ),
  model: modelOption,
  epochs: wholeNumberOption('N', "passes over the training images (default: each model's own)", {
    least: 1,
    most: MOST_EPOCHS,
    initial: null,
  }),
  batch: wholeNumberOption('N', 'images a step (default: 64)', { least: 1, most: 1024, initial: 64 }),
  lr: positiveNumberOption(
    'X',
    "learning rate at the start; it falls to 0 in half a cosine wave (default: each model's own)",
  ),
  seed: wholeNumberOption('N', 'seed of the initial weights and of the order of the images (default: 1)', {
    least: 0,
    most: LARGEST_SEED,
    initial: 1,
  }),
  json: textOption('FILE', 'write the results to this file'),
};

/** The command without a name; its help ends with `epilogue`, since it is that of the whole program. */
export const createTrainCommand = (epilogue: string): Command =>
  defineCommand({
    name: '',
    about: 'trains an MLP and a small convolutional network',
    description: 'Trains an MLP and a small convolutional network and reports their accuracy on held-out images.',
    epilogue,
    options: TRAIN_OPTIONS,
    run: runTraining,
  });

async function runTraining(options: ValuesOf<typeof TRAIN_OPTIONS>, output: NodeJS.WriteStream): Promise<void> {
  const target = checkWritable('--json', options.json);
  const data = await loadData(options.data);
  const { train, test } = data;
  for (const model of options.model) checkSize(model, train);
  output.write(
    `${data.name}: ${train.count} training and ${test.count} test images of ${train.height} x ${train.width} pixels\n`,
  );
  const runs = options.model.map((model) => {
    const recipe = MODELS[model];
    const epochs = options.epochs ?? (options.data === null ? recipe.epochs : recipe.epochsOnFiles);
    const learningRate = options.lr ?? recipe.learningRate;
    const { batch: batchSize, seed } = options;
    return trainAndTest(data, { model, epochs, batchSize, learningRate, seed }, createProgress(output));
  });
  output.write(`\n${runTable(runs)}`);
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

export function runTable(runs: readonly Run[]): string {
  return table([
    ['model', 'parameters', 'test accuracy', 'seconds', 'samples/s'],
    ...runs.map((run) => [
      run.model,
      String(run.parameters),
      percent(run.accuracy),
      run.seconds.toFixed(1),
      run.samplesPerSecond.toFixed(0),
    ]),
  ]);
}
