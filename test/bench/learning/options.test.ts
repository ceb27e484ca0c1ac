import { describe, expect, it } from 'vitest';
import { HELP, parseCommand } from '../../../bench/learning/options.ts';
import { UserError } from '../../../bench/learning/user-error.ts';

const optionsOf = (...args: string[]) => {
  const command = parseCommand(args);
  return command.name === 'train' ? command.options : command.name;
};

describe('parseCommand', () => {
  it('trains the MLP and the convolutional network on the embedded digits unless told otherwise', () => {
    expect(optionsOf()).toEqual({
      data: null,
      models: ['mlp', 'cnn'],
      epochs: null,
      batchSize: 64,
      learningRate: null,
      seed: 1,
      json: null,
    });
  });

  it('reads every option, with a space or an equals sign', () => {
    expect(
      optionsOf('--data', 'some/dir', '--model=linear', '--epochs', '5', '--batch=128', '--lr', '2e-3', '--seed', '0'),
    ).toMatchObject({
      data: 'some/dir',
      models: ['linear'],
      epochs: 5,
      batchSize: 128,
      learningRate: 0.002,
      seed: 0,
    });
    expect(optionsOf('--json=-odd-.json')).toMatchObject({ json: '-odd-.json' });
  });

  it('names every option in the help', () => {
    expect(optionsOf('--help')).toBe('help');
    for (const name of ['data', 'model', 'epochs', 'batch', 'lr', 'seed', 'json', 'help']) {
      expect(HELP).toContain(`--${name}`);
    }
  });

  it.each([
    [['plasticity'], "Unknown argument 'plasticity'; see --help."],
    [['--', 'x'], "Unknown argument 'x'; see --help."],
    [['--epoch', '3'], "Unknown option '--epoch'; see --help."],
    [['-e', '3'], "Unknown option '-e'; see --help."],
    [['--no-data'], "Unknown option '--no-data'; see --help."],
    [['--help=yes'], '--help takes no value.'],
    [['--data'], '--data needs a value.'],
    [['--data='], '--data needs a value.'],
    [['--data', '--model', 'cnn'], '--data needs a value.'],
    [['--seed', '1', '--seed', '2'], '--seed is given twice.'],
    [['--model', 'resnet'], "--model must be one of mlp, cnn, linear, but it is 'resnet'."],
    [['--epochs', '0'], "--epochs must be a whole number from 1 to 100000, but it is '0'."],
    [['--epochs', '-3'], "--epochs must be a whole number from 1 to 100000, but it is '-3'."],
    [['--epochs', '1.5'], "--epochs must be a whole number from 1 to 100000, but it is '1.5'."],
    [['--epochs', '0x10'], "--epochs must be a whole number from 1 to 100000, but it is '0x10'."],
    [['--batch', 'many'], "--batch must be a whole number from 1 to 1024, but it is 'many'."],
    [['--batch', '5000'], "--batch must be a whole number from 1 to 1024, but it is '5000'."],
    [['--lr', '0'], "--lr must be a number above 0, but it is '0'."],
    [['--lr', '-1e-3'], "--lr must be a number above 0, but it is '-1e-3'."],
    [['--lr', 'NaN'], "--lr must be a number above 0, but it is 'NaN'."],
    [['--lr', '1e999'], "--lr must be a number above 0, but it is '1e999'."],
    [['--seed', '1e3'], "--seed must be a whole number from 0 to 9007199254740991, but it is '1e3'."],
    [['--seed', '9007199254740993'], /^--seed must be a whole number/],
  ])('refuses %j in one sentence', (args, message) => {
    expect(() => parseCommand(args)).toThrow(message);
    expect(() => parseCommand(args)).toThrow(UserError);
  });
});
