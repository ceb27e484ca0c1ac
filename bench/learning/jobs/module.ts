/** A run as a job: what the module of an experiment exports as `runJob`. */

import { JobCheckpoint } from './checkpoint.ts';
import type { JobModule, Plain } from './job.ts';

/** Tells which share is done; it may be called at every step, and passes on a word now and then. */
export type Report = (done: number) => Promise<void>;

/** `run` is told the settings of its job, which are plain data of its own type, and gives its result as such. */
export const asJob =
  <Told, Run>(
    run: (told: Told, report: Report, checkpoint: JobCheckpoint | null) => Promise<Run>,
  ): JobModule['runJob'] =>
  async (settings, report, place) => {
    const checkpoint = place === null ? null : new JobCheckpoint(place);
    return (await run(settings as unknown as Told, report, checkpoint)) as unknown as Plain;
  };
