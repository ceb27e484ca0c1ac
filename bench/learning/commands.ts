/**
 * The commands of `npm start`: the one that runs without a name, and those that are named. A new one adds a line here.
 */

import { type Command, columns } from './command-line.ts';
import { compositionCommand } from './composition/command.ts';
import { forgettingCommand } from './forgetting/command.ts';
import { importanceCommand } from './importance/command.ts';
import { mergeCommand } from './jobs/merge-command.ts';
import { plasticityCommand } from './plasticity/command.ts';
import { rulesCommand } from './rules/command.ts';
import { createTrainCommand } from './train-command.ts';
import { UserError } from './user-error.ts';

const NAMED: readonly Command[] = [
  rulesCommand,
  plasticityCommand,
  forgettingCommand,
  importanceCommand,
  compositionCommand,
  mergeCommand,
];

const UNNAMED = createTrainCommand(`Other commands, each with a --help of its own:

${columns(NAMED.map(({ name, about }) => [`npm start -- ${name}`, about]))}`);

/** Does what the arguments (those after the program's name) say. Rejects with a UserError where they are mistaken. */
export async function runCommand(args: readonly string[], output: NodeJS.WriteStream): Promise<void> {
  const [first, ...rest] = args;
  if (first === undefined || first.startsWith('-')) return UNNAMED.start(args, output);
  const command = NAMED.find(({ name }) => name === first);
  if (command === undefined) {
    const names = NAMED.map(({ name }) => name).join(', ');
    throw new UserError(`Unknown command '${first}', expected one of ${names}; see --help.`);
  }
  return command.start(rest, output);
}
