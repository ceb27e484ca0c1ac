/**
 * The command line of `npm start`: text in, a checked command out, or a UserError of one sentence. Nothing is read from
 * the disk here.
 */

import { parseArgs } from 'node:util';
import { MODEL_NAMES, type ModelName } from './models.ts';
import { UserError } from './user-error.ts';

/** What the training job is asked to do. Where a number is null, the job has a default of its own. */
export interface TrainingOptions {
  /** The folder with IDX files; null for the embedded digits. */
  data: string | null;
  models: readonly ModelName[];
  epochs: number | null;
  batchSize: number;
  /** Learning rate at the start. */
  learningRate: number | null;
  seed: number;
  /** Where the results go as JSON. */
  json: string | null;
}

export type Command = { name: 'help' } | { name: 'train'; options: TrainingOptions };

export const HELP = `npm start -- [options]

Trains an MLP and a small convolutional network and reports their accuracy on held-out images.

  --data DIR     train on the IDX files in this folder (MNIST, Fashion-MNIST) instead of the embedded digits
  --model NAME   train only this model: ${MODEL_NAMES.join(', ')} (default: mlp and cnn)
  --epochs N     passes over the training images (default: each model's own)
  --batch N      images a step (default: 64)
  --lr X         learning rate at the start; it falls to 0 in half a cosine wave (default: each model's own)
  --seed N       seed of the initial weights and of the order of the images (default: 1)
  --json FILE    write the results to this file
  --help         show this text
`;

const OPTION_NAMES = ['data', 'model', 'epochs', 'batch', 'lr', 'seed', 'json'] as const;
type OptionName = (typeof OPTION_NAMES)[number];

/** A step of the convolutional network at this size takes about 600 MB. */
const LARGEST_BATCH = 1024;
const MOST_EPOCHS = 100_000;

/** The command that the arguments (those after the program's name) spell. */
export function parseCommand(args: readonly string[]): Command {
  // Not strict: parseArgs's own messages run over several sentences, so only its tokens are used.
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(OPTION_NAMES.map((name) => [name, { type: 'string' as const }])),
    strict: false,
    tokens: true,
  });
  const given = new Map<OptionName, string>();
  let help = false;
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') throw new UserError(`Unknown argument '${token.value}'; see --help.`);
    if (token.name === 'help' && token.rawName === '--help') {
      if (token.value !== undefined) throw new UserError('--help takes no value.');
      help = true;
      continue;
    }
    const name = OPTION_NAMES.find((known) => token.rawName === `--${known}`);
    if (name === undefined) throw new UserError(`Unknown option '${token.rawName}'; see --help.`);
    if (given.has(name)) throw new UserError(`--${name} is given twice.`);
    const value = token.value ?? '';
    // "--data --json x": the next option is no value. A negative number is one, and is judged as a number.
    const isOption = !token.inlineValue && /^-\D/.test(value);
    if (value === '' || isOption) throw new UserError(`--${name} needs a value.`);
    given.set(name, value);
  }
  if (help) return { name: 'help' };
  return {
    name: 'train',
    options: {
      data: given.get('data') ?? null,
      models: modelNames(given.get('model')),
      epochs: wholeNumber('epochs', given.get('epochs'), 1, MOST_EPOCHS),
      batchSize: wholeNumber('batch', given.get('batch'), 1, LARGEST_BATCH) ?? 64,
      learningRate: positiveNumber('lr', given.get('lr')),
      seed: wholeNumber('seed', given.get('seed'), 0, Number.MAX_SAFE_INTEGER) ?? 1,
      json: given.get('json') ?? null,
    },
  };
}

function modelNames(value: string | undefined): readonly ModelName[] {
  if (value === undefined) return ['mlp', 'cnn'];
  const name = MODEL_NAMES.find((known) => known === value);
  if (name === undefined)
    throw new UserError(`--model must be one of ${MODEL_NAMES.join(', ')}, but it is '${value}'.`);
  return [name];
}

function wholeNumber(option: OptionName, value: string | undefined, least: number, most: number): number | null {
  if (value === undefined) return null;
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= least && number <= most)) {
    throw new UserError(`--${option} must be a whole number from ${least} to ${most}, but it is '${value}'.`);
  }
  return number;
}

function positiveNumber(option: OptionName, value: string | undefined): number | null {
  if (value === undefined) return null;
  const number = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) ? Number(value) : Number.NaN;
  if (!(number > 0 && number < Number.POSITIVE_INFINITY)) {
    throw new UserError(`--${option} must be a number above 0, but it is '${value}'.`);
  }
  return number;
}
