/**
 * Showing how training goes: a bar that is redrawn in place on a terminal, one line an epoch everywhere else (a pipe, a
 * file, a build log), where a bar would be rubbish.
 */

import { type Params, SingleBar } from 'cli-progress';

/** Where training stands. */
export interface Status {
  /** What is being trained: a model, a learning rule. */
  name: string;
  epoch: number;
  epochs: number;
  /** Images trained on so far, over all epochs, and in the end. */
  done: number;
  total: number;
  /** Mean loss over the images of this epoch so far; null where there is none to tell. */
  loss: number | null;
  /** Accuracy, 0 to 1, over the images of this epoch so far. */
  accuracy: number;
  /** Seconds since training began. */
  seconds: number;
}

export interface Progress {
  /** After each step; cheap, since only a few of these are drawn. */
  step(status: Status): void;
  /** After each epoch. */
  epoch(status: Status): void;
  /** After training, and where it fails: gives the terminal line free. */
  stop(): void;
}

export function createProgress(output: NodeJS.WriteStream): Progress {
  return output.isTTY ? new BarProgress(output) : new LineProgress(output);
}

class LineProgress implements Progress {
  readonly #output: NodeJS.WritableStream;

  constructor(output: NodeJS.WritableStream) {
    this.#output = output;
  }

  step(): void {}

  epoch(status: Status): void {
    this.#output.write(`${describe(status)}\n`);
  }

  stop(): void {}
}

class BarProgress implements Progress {
  readonly #bar: SingleBar;
  #started = false;

  constructor(output: NodeJS.WritableStream) {
    // linewrap: by default the terminal's wrapping is switched off, and stays off when Ctrl-C ends the program.
    this.#bar = new SingleBar({ stream: output, format: drawBar, linewrap: true, fps: 10 });
  }

  step(status: Status): void {
    if (!this.#started) this.#bar.start(status.total, 0, status);
    this.#started = true;
    this.#bar.update(status.done, status);
  }

  epoch(): void {}

  stop(): void {
    this.#bar.stop();
  }
}

/** The line that the bar is redrawn with, cut to the terminal's width. */
function drawBar(_options: unknown, params: Params, status: Status): string {
  const text = describe(status);
  const width = Math.min(30, params.maxWidth - text.length - 4);
  if (width < 5) return text.slice(0, Math.max(0, params.maxWidth - 1));
  const filled = Math.round(width * params.progress);
  return `[${'='.repeat(filled)}${' '.repeat(width - filled)}] ${text}`;
}

/** "mlp     epoch 2/8  loss 0.1432  accuracy 95.31 %  24310 images/s  6 s left" */
export function describe(status: Status): string {
  const rate = status.done / status.seconds;
  const left = (status.total - status.done) / rate;
  return [
    `${status.name.padEnd(6)} epoch ${status.epoch}/${status.epochs}`,
    ...(status.loss === null ? [] : [`loss ${status.loss.toFixed(4)}`]),
    `accuracy ${(100 * status.accuracy).toFixed(2)} %`,
    `${rate.toFixed(0)} images/s`,
    `${Math.ceil(left)} s left`,
  ].join('  ');
}
