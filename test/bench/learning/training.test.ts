import { describe, expect, it } from 'vitest';
import { embeddedDigits } from '../../../bench/learning/data.ts';
import { MODELS, type ModelName } from '../../../bench/learning/models.ts';
import type { Status } from '../../../bench/learning/progress.ts';
import { checkSize, runTable } from '../../../bench/learning/train-command.ts';
import { trainAndTest } from '../../../bench/learning/training.ts';

const silent = { step() {}, epoch() {}, stop() {} };
const data = embeddedDigits();

function settings(model: ModelName, epochs: number) {
  return { model, epochs, batchSize: 64, learningRate: MODELS[model].learningRate, seed: 7 };
}

describe('the embedded digits', () => {
  it('are too hard for a linear classifier and not for an MLP', { timeout: 60_000 }, () => {
    expect(trainAndTest(data, settings('linear', 4), silent).accuracy).toBeLessThan(0.93);
    expect(trainAndTest(data, settings('mlp', 2), silent).accuracy).toBeGreaterThan(0.97);
  });
});

describe('trainAndTest', () => {
  it('gives the same accuracy and losses for the same seed, others for another', { timeout: 60_000 }, () => {
    const small = { ...data, train: { ...data.train, count: 200 }, test: { ...data.test, count: 200 } };
    const losses = (seed: number) => {
      const seen: number[] = [];
      const recorder = { ...silent, step: ({ loss }: Status) => seen.push(loss ?? Number.NaN) };
      const { accuracy } = trainAndTest(small, { ...settings('cnn', 1), seed }, recorder);
      return [...seen, accuracy];
    };
    const first = losses(7);
    expect(losses(7)).toEqual(first);
    expect(losses(8)).not.toEqual(first);
  });

  it('tells a learning rate that is too high', () => {
    const wild = { ...settings('mlp', 1), learningRate: 1e30 };
    expect(() => trainAndTest(data, wild, silent)).toThrow(
      '--lr 1e+30: the loss of mlp is no longer finite, choose a smaller rate.',
    );
  });
});

describe('checkSize', () => {
  it('tells images that are too small for the convolutional network', () => {
    const tiny = { ...data.train, height: 3 };
    expect(() => checkSize('mlp', tiny)).not.toThrow();
    expect(() => checkSize('cnn', tiny)).toThrow(
      '--model cnn needs images of 4 x 4 pixels or more, but they have 3 x 28.',
    );
  });
});

describe('runTable', () => {
  it('lines up names on the left and numbers on the right', () => {
    const run = { epochs: 1, seed: 1, seconds: 1.5 };
    const rows = [
      { ...run, model: 'mlp' as const, parameters: 235_146, accuracy: 0.98765, samplesPerSecond: 12_345.6 },
      { ...run, model: 'linear' as const, parameters: 7850, accuracy: 0.9, samplesPerSecond: 7 },
    ];
    expect(runTable(rows)).toBe(
      'model   parameters  test accuracy  seconds  samples/s\n' +
        'mlp         235146        98.77 %      1.5      12346\n' +
        'linear        7850        90.00 %      1.5          7\n',
    );
  });
});
