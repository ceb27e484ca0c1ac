/**
 * A process that does one job: it is told which over the channel to its parent, tells how far it is, and sends the result. It ends
 * when the parent is gone: nobody would take the result.
 */

import type { CheckpointPlace, JobModule, Plain, Settings } from './job.ts';

/** To the child, once. */
export interface Order {
  /** The URL of a JobModule. */
  readonly module: string;
  readonly settings: Settings;
  readonly checkpoint: CheckpointPlace | null;
}

/** From the child: any number of `done`, then one of the others. */
export type Word = { readonly done: number } | { readonly result: Plain } | { readonly error: string };

const { send } = process;
if (send === undefined) throw new Error('child.ts does the jobs of another process and is not to be started by hand.');
const tell = (word: Word): Promise<void> =>
  new Promise((resolve) => {
    // The parent may be gone already; then `disconnect` ends this process.
    send.call(process, word, () => resolve());
  });
process.on('disconnect', () => process.exit(1));

/** Milliseconds between two words on how far it is. */
const REPORT_EVERY = 200;

process.once('message', async ({ module, settings, checkpoint }: Order) => {
  try {
    const { runJob } = (await import(module)) as JobModule;
    let reported = performance.now();
    const report = async (done: number): Promise<void> => {
      if (performance.now() - reported < REPORT_EVERY) return;
      await tell({ done });
      // A job computes without a pause; only here can it hear that its parent is gone.
      await new Promise((resolve) => setImmediate(resolve));
      reported = performance.now();
    };
    await tell({ result: await runJob(settings, report, checkpoint) });
  } catch (error) {
    await tell({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
  process.disconnect();
});
