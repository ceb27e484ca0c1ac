/** What `npm start` runs: does what the command line says, and tells the user's mistakes in one sentence. */

import { runCommand } from './commands.ts';
import { UserError } from './user-error.ts';

// `npm start | head`: the reader has gone, and there is nobody left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await runCommand(process.argv.slice(2), process.stdout);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
