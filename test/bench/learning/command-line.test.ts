import { describe, expect, it } from 'vitest';
import { parseOptions } from '../../../bench/learning/command-line.ts';
import { runCommand } from '../../../bench/learning/commands.ts';
import { RULES_OPTIONS } from '../../../bench/learning/rules/command.ts';
import { CONFIGURATIONS } from '../../../bench/learning/rules/configurations.ts';
import { TRAIN_OPTIONS } from '../../../bench/learning/train-command.ts';
import { UserError } from '../../../bench/learning/user-error.ts';
import { screen } from './screen.ts';

const optionsOf = (...args: string[]) => parseOptions(TRAIN_OPTIONS, args);

describe('the options of training', () => {
  it('trains the MLP and the convolutional network on the embedded digits unless told otherwise', () => {
    expect(optionsOf()).toEqual({
      data: null,
      model: ['mlp', 'cnn'],
      epochs: null,
      batch: 64,
      lr: null,
      seed: 1,
      json: null,
    });
  });

  it('reads every option, with a space or an equals sign', () => {
    expect(
      optionsOf('--data', 'some/dir', '--model=linear', '--epochs', '5', '--batch=128', '--lr', '2e-3', '--seed', '0'),
    ).toMatchObject({
      data: 'some/dir',
      model: ['linear'],
      epochs: 5,
      batch: 128,
      lr: 0.002,
      seed: 0,
    });
    expect(optionsOf('--json=-odd-.json')).toMatchObject({ json: '-odd-.json' });
  });

  it('asks for help, whatever else is given', () => {
    expect(optionsOf('--help')).toBe('help');
    expect(optionsOf('--seed', 'x', '--help')).toBe('help');
  });

  it.each([
    [['--seed', '1', 'plasticity'], "Unknown argument 'plasticity'; see --help."],
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
    expect(() => optionsOf(...args)).toThrow(message);
    expect(() => optionsOf(...args)).toThrow(UserError);
  });
});

describe('the options of the comparison of rules', () => {
  const rulesOf = (...args: string[]) => parseOptions(RULES_OPTIONS, args);
  const everyRule = CONFIGURATIONS.map(({ name }) => name);

  it('takes every rule on the embedded digits, with one seed, unless told otherwise', () => {
    expect(rulesOf()).toEqual({ rules: everyRule, data: null, epochs: null, seed: [1], json: null, html: null });
  });

  it('reads every option', () => {
    const args = ['--rules', 'backprop', '--data=d', '--epochs', '2', '--seed', '3,0, 7', '--json', 'j', '--html', 'h'];
    expect(rulesOf(...args)).toEqual({
      rules: ['backprop'],
      data: 'd',
      epochs: 2,
      seed: [3, 0, 7],
      json: 'j',
      html: 'h',
    });
  });

  it.each([
    [['--rules', 'backprop,magic'], /^--rules takes names out of backprop.*, but 'magic' is none of them\.$/],
    [['--rules', 'backprop,'], /^--rules takes names out of backprop.*, but '' is none of them\.$/],
    [['--rules', 'backprop,backprop'], "--rules names 'backprop' twice."],
    [['--seed', '1,1'], "--seed names '1' twice."],
    [['--seed', '1,x'], /^--seed must be a whole number from 0 to \d+, but it is 'x'\.$/],
    [['--model', 'mlp'], "Unknown option '--model'; see --help."],
    [['--lr', '1'], "Unknown option '--lr'; see --help."],
    [['again'], "Unknown argument 'again'; see --help."],
  ])('refuses %j in one sentence', (args, message) => {
    expect(() => rulesOf(...args)).toThrow(message);
    expect(() => rulesOf(...args)).toThrow(UserError);
  });
});

describe('runCommand', () => {
  const helpOf = async (...args: string[]): Promise<string> => {
    const { output, text } = screen(null);
    await runCommand([...args, '--help'], output);
    return text();
  };

  it('shows a help of its own for each command, with every option, in lines that fit a terminal', async () => {
    const train = await helpOf();
    for (const name of ['data', 'model', 'epochs', 'batch', 'lr', 'seed', 'json', 'help']) {
      expect(train).toMatch(new RegExp(`^  --${name} `, 'm'));
    }
    expect(train).toContain('npm start -- rules');
    const rules = await helpOf('rules');
    for (const name of ['rules', 'data', 'epochs', 'seed', 'json', 'html', 'help']) {
      expect(rules).toMatch(new RegExp(`^  --${name} `, 'm'));
    }
    for (const { name, about } of CONFIGURATIONS) expect(rules).toContain(`${name}: ${about}`);
    expect(rules).not.toContain('--model');
    expect(rules).toMatch(/^npm start -- rules \[options\]\n/);
    expect(train).toMatch(/^npm start -- \[options\]\n/);
  });

  it('refuses a command that there is not, in one sentence that names those that there are', async () => {
    const { output, text } = screen(null);
    const refusal = runCommand(['alchemy', '--seed', '1'], output);
    await expect(refusal).rejects.toThrow(/^Unknown command 'alchemy', expected one of rules.*; see --help\.$/);
    await expect(refusal).rejects.toThrow(UserError);
    expect(text()).toBe('');
  });
});
