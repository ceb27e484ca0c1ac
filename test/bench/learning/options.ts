/** What tests of the commands have in common. */

import { type OptionTable, parseOptions, type ValuesOf } from '../../../bench/learning/command-line.ts';
import { withQuick } from '../../../bench/learning/quick.ts';

/** Reads a command line of a command with these options. */
export const optionsReader =
  <Options extends OptionTable>(options: Options) =>
  (...args: string[]): ValuesOf<Options> => {
    const values = parseOptions(options, withQuick(args));
    if (values === 'help') throw new Error('This asks for help.');
    return values;
  };

/** A job's id without the hash of its settings. */
export const nameOf = ({ id }: { id: string }): string => id.replace(/_[0-9a-f]{10}$/, '');
