import { describe, expect, it } from 'vitest';
import { createProgress, type Status } from '../../../bench/learning/progress.ts';
import { screen } from './screen.ts';

const status: Status = {
  name: 'mlp',
  epoch: 2,
  epochs: 4,
  done: 2000,
  total: 4000,
  loss: 0.25,
  accuracy: 0.925,
  seconds: 0.5,
};

describe('createProgress', () => {
  it('writes a plain line an epoch where there is no terminal', () => {
    const { output, text } = screen(null);
    const progress = createProgress(output);
    progress.step(status);
    progress.epoch(status);
    progress.stop();
    expect(text()).toBe('mlp    epoch 2/4  loss 0.2500  accuracy 92.50 %  4000 images/s  1 s left\n');
  });

  it('says nothing of a loss that there is not', () => {
    const { output, text } = screen(null);
    createProgress(output).epoch({ ...status, name: 'a-long-name', loss: null });
    expect(text()).toBe('a-long-name epoch 2/4  accuracy 92.50 %  4000 images/s  1 s left\n');
  });

  it('draws a bar on a terminal, never wider than it', () => {
    for (const columns of [120, 60, 20]) {
      const { output, text } = screen(columns);
      const progress = createProgress(output);
      progress.step({ ...status, done: 1000 });
      progress.step(status);
      progress.stop();
      if (columns === 120) expect(text()).toContain('[===============               ] mlp    epoch 2/4');
      const escapeCode = '\u001b';
      const lines = text()
        .split(escapeCode)
        .map((part) => part.replace(/^\[?[0-9;?]*[A-Za-z78]/, ''));
      for (const line of lines) expect(line.length).toBeLessThan(columns);
    }
  });

  it('can stop before the first step', () => {
    const { output, text } = screen(80);
    createProgress(output).stop();
    expect(text()).toBe('');
  });
});
