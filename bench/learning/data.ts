/** The data of the commands: a folder of IDX files, or the digits that are drawn here. */

import { Generator } from '../../src/index.ts';
import { drawDigits } from './digits.ts';
import { loadIdxFolder } from './idx-folder.ts';
import type { DataSet } from './images.ts';

/** The embedded data set is one and the same whatever --seed says, so that its accuracies can be compared. */
const EMBEDDED = { name: 'embedded digits', train: { count: 20_000, seed: 1 }, test: { count: 4_000, seed: 2 } };

/** The data set in this folder, or the embedded digits where there is none. */
export async function loadData(folder: string | null): Promise<DataSet> {
  return folder === null ? embeddedDigits() : loadIdxFolder(folder);
}

export function embeddedDigits(): DataSet {
  const { name, train, test } = EMBEDDED;
  return {
    name,
    train: drawDigits(train.count, new Generator(train.seed)),
    test: drawDigits(test.count, new Generator(test.seed)),
  };
}
