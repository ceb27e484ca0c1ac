/** What `npm start` runs: reads the command line, does what it says, and tells the user's mistakes in one sentence. */

import { HELP, parseCommand } from './options.ts';
import { runTraining } from './train-command.ts';
import { UserError } from './user-error.ts';

// `npm start | head`: the reader has gone, and there is nobody left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  const command = parseCommand(process.argv.slice(2));
  if (command.name === 'help') process.stdout.write(HELP);
  else await runTraining(command.options, process.stdout);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
