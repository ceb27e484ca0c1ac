/** `npm start -- merge`: puts the results of parts together, as if one run had made them. */

import { defineCommand, type Option, textOption } from '../command-line.ts';
import { checkWritable, writeJson } from '../result-file.ts';
import { UserError } from '../user-error.ts';
import { mergeFolders } from './folder.ts';

const foldersOption: Option<readonly string[]> = {
  placeholder: 'DIRS',
  about: 'the --results folders of the parts, separated by commas',
  initial: [],
  read: (_, text) => text.split(',').map((folder) => folder.trim()),
};

export const mergeCommand = defineCommand({
  name: 'merge',
  about: 'puts the results of parts of an experiment together',
  description: `Puts the results of jobs from several folders into one, or into one file. The command that made the parts, with --results of that
folder, then finds all jobs done and writes its report.`,
  options: {
    parts: foldersOption,
    into: textOption('DIR', 'the folder that shall have all of them; it may be one of the parts'),
    json: textOption('FILE', 'write all of them to this file, sorted by id'),
  },
  async run({ parts, into, json }, output) {
    if (parts.length === 0) throw new UserError('merge: --parts must name the folders of the parts.');
    if (into === null) throw new UserError('merge: --into must name a folder.');
    const file = checkWritable('--json', json);
    const jobs = mergeFolders(parts, into);
    output.write(`${jobs.length} jobs in ${into}\n`);
    if (file !== null) writeJson(file, { jobs });
  },
});
