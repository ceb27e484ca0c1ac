/**
 * --quick, the one option without a value: it stands for values of other options, so that a command shows what it does in a
 * minute. And the words of a command line that ask for what was done.
 */

import type { Command, Option, OptionTable } from './command-line.ts';
import type { JobsOptions } from './jobs/options.ts';
import { UserError } from './user-error.ts';

export function quickOption(about: string): Option<boolean> {
  return {
    placeholder: '',
    about,
    initial: false,
    read(option, text) {
      if (text !== 'yes') throw new UserError(`${option} takes no value.`);
      return true;
    },
  };
}

export const withQuick = (args: readonly string[]): string[] =>
  args.map((word) => (word === '--quick' ? '--quick=yes' : word));

/** The command, with --quick among its words. */
export const quickCommand = (command: Command): Command => ({
  ...command,
  // Options have values everywhere else.
  start: (args, output) => command.start(withQuick(args), output),
});

/** What --quick stands for. Options that it would overrule are an error, not ignored. */
export function quickened<Options extends Readonly<Record<string, unknown>>>(
  options: Options,
  quick: Partial<Options>,
  table: OptionTable,
): Options {
  for (const name of Object.keys(quick))
    if (options[name] !== table[name]?.initial)
      throw new UserError(`--quick says what --${name} is; give one of them.`);
  return { ...options, ...quick };
}

/** The words after `npm start --` that ask for these options. */
export function wordsOf(
  command: string,
  options: JobsOptions & { readonly quick: boolean },
  table: OptionTable,
): string[] {
  const given = Object.entries(options).flatMap(([name, value]: [string, unknown]) => {
    if (value === null || value === false) return [];
    if (value === true) return [`--${name}`];
    // What --quick says must not be said twice.
    if (options.quick && value === table[name]?.initial) return [];
    return [`--${name}`, name === 'jobs' ? partText(options.jobs) : String(value)];
  });
  return [command, ...given];
}

const partText = (part: JobsOptions['jobs']): string => (part === null ? '' : `${part.index}/${part.count}`);
