/**
 * Command lines: a command is a table of options and what it does with their values. Text in, checked values out, or a
 * UserError of one sentence. Nothing is read from the disk here.
 *
 * Every option takes a value and may be left out; then it has the value that its table says.
 */

import { parseArgs } from 'node:util';
import { UserError } from './user-error.ts';

/** One option, without its name: that is its key in the table. */
export interface Option<Value> {
  /** What stands for its value in the help, e.g. 'FILE'. */
  readonly placeholder: string;
  readonly about: string;
  /** Its value where it is not given. */
  readonly initial: Value;
  /** The value that a text spells; throws a UserError that begins with the option's name, e.g. '--seed'. */
  readonly read: (option: string, text: string) => Value;
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** What the options of a table were given, by name. */
export type ValuesOf<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Option<infer Value> ? Value : never;
};

/** A command as the main program sees it. */
export interface Command {
  /** The word after `npm start --`; empty for what runs without one. */
  readonly name: string;
  /** One line, for the list of commands. */
  readonly about: string;
  readonly help: string;
  /** Reads the arguments after the command's name, and does what they say. */
  start(args: readonly string[], output: NodeJS.WriteStream): Promise<void>;
}

interface HelpContents {
  readonly name: string;
  /** One or more sentences at the head of the help. */
  readonly description: string;
  /** What the help says below the options. */
  readonly epilogue?: string;
  readonly options: OptionTable;
}

export interface CommandDefinition<Table extends OptionTable> extends HelpContents {
  readonly about: string;
  readonly options: Table;
  run(options: ValuesOf<Table>, output: NodeJS.WriteStream): Promise<void>;
}

/** A command from its table of options. It answers --help with its help and nothing else. */
export function defineCommand<Table extends OptionTable>(definition: CommandDefinition<Table>): Command {
  const { name, about, options } = definition;
  const help = helpText(definition);
  return {
    name,
    about,
    help,
    async start(args, output) {
      const values = parseOptions(options, args);
      if (values === 'help') output.write(help);
      else await definition.run(values, output);
    },
  };
}

/** The values that the arguments spell, or 'help' where they ask for it. */
export function parseOptions<Table extends OptionTable>(
  table: Table,
  args: readonly string[],
): ValuesOf<Table> | 'help' {
  // Not strict: parseArgs's own messages run over several sentences, so only its tokens are used.
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(Object.keys(table).map((name) => [name, { type: 'string' as const }])),
    strict: false,
    tokens: true,
  });
  const given = new Map<string, string>();
  let help = false;
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') throw new UserError(`Unknown argument '${token.value}'; see --help.`);
    if (token.rawName === '--help') {
      if (token.value !== undefined) throw new UserError('--help takes no value.');
      help = true;
      continue;
    }
    const name = Object.keys(table).find((known) => token.rawName === `--${known}`);
    if (name === undefined) throw new UserError(`Unknown option '${token.rawName}'; see --help.`);
    if (given.has(name)) throw new UserError(`--${name} is given twice.`);
    const value = token.value ?? '';
    // "--data --json x": the next option is no value. A negative number is one, and is judged as a number.
    const isOption = !token.inlineValue && /^-\D/.test(value);
    if (value === '' || isOption) throw new UserError(`--${name} needs a value.`);
    given.set(name, value);
  }
  if (help) return 'help';
  const values = Object.entries(table).map(([name, { initial, read }]) => {
    const text = given.get(name);
    return [name, text === undefined ? initial : read(`--${name}`, text)];
  });
  return Object.fromEntries(values) as ValuesOf<Table>;
}

function helpText({ name, description, options, epilogue }: HelpContents): string {
  const lines = Object.entries(options).map(([option, { placeholder, about }]) => [
    `--${option} ${placeholder}`,
    about,
  ]);
  return `npm start -- ${name === '' ? '' : `${name} `}[options]

${description}

${columns([...lines, ['--help', 'show this text']])}${epilogue === undefined ? '' : `\n${epilogue}`}`;
}

/** Lines of two columns, indented by two. */
export function columns(lines: readonly (readonly string[])[]): string {
  const width = Math.max(...lines.map(([first = '']) => first.length));
  return lines.map(([first = '', second = '']) => `  ${first.padEnd(width)}  ${second}\n`).join('');
}

/** Any text: the name of a file or folder. */
export function textOption(placeholder: string, about: string): Option<string | null> {
  return { placeholder, about, initial: null, read: (_, text) => text };
}

/** A whole number from `least` to `most`. */
export function wholeNumberOption<Initial extends number | null>(
  placeholder: string,
  about: string,
  { least, most, initial }: { least: number; most: number; initial: Initial },
): Option<number | Initial> {
  return { placeholder, about, initial, read: (option, text) => wholeNumber(option, text, least, most) };
}

/** A number above 0. */
export function positiveNumberOption(placeholder: string, about: string): Option<number | null> {
  return { placeholder, about, initial: null, read: positiveNumber };
}

/** A seed, or several separated by commas. */
export function seedsOption(about: string): Option<readonly number[]> {
  return {
    placeholder: 'N',
    about,
    initial: [1],
    read: (option, text) =>
      once(
        option,
        parts(text).map((part) => wholeNumber(option, part, 0, LARGEST_SEED)),
      ),
  };
}

/** Some of the names that there are, separated by commas; all of them unless given. */
export function namesOption<Name extends string>(
  placeholder: string,
  about: string,
  names: readonly Name[],
): Option<readonly Name[]> {
  return {
    placeholder,
    about,
    initial: names,
    read(option, text) {
      const chosen = parts(text);
      const stranger = chosen.find((name) => !names.some((known) => known === name));
      if (stranger !== undefined) {
        throw new UserError(`${option} takes names out of ${names.join(', ')}, but '${stranger}' is none of them.`);
      }
      return once(option, chosen as Name[]);
    },
  };
}

/** One of these words; the first unless given. */
export function choiceOption<Name extends string>(about: string, names: readonly [Name, ...Name[]]): Option<Name> {
  return {
    placeholder: names.join('|'),
    about: `${about} (default: ${names[0]})`,
    initial: names[0],
    read(option, text) {
      const found = names.find((name) => name === text);
      if (found === undefined)
        throw new UserError(`${option} must be one of ${names.join(', ')}, but it is '${text}'.`);
      return found;
    },
  };
}

/** Beyond it, a number no longer tells neighbouring seeds apart. */
export const LARGEST_SEED = Number.MAX_SAFE_INTEGER;

/** More passes than anyone will wait for. */
export const MOST_EPOCHS = 100_000;

const parts = (text: string): string[] => text.split(',').map((part) => part.trim());

function once<Value extends string | number>(option: string, values: readonly Value[]): readonly Value[] {
  const repeated = values.find((value, i) => values.indexOf(value) < i);
  if (repeated !== undefined) throw new UserError(`${option} names '${repeated}' twice.`);
  return values;
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= least && number <= most)) {
    throw new UserError(`${option} must be a whole number from ${least} to ${most}, but it is '${text}'.`);
  }
  return number;
}

function positiveNumber(option: string, text: string): number {
  const number = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  if (!(number > 0 && number < Number.POSITIVE_INFINITY)) {
    throw new UserError(`${option} must be a number above 0, but it is '${text}'.`);
  }
  return number;
}
