/**
 * What kill-save.test.ts kills: saves version after version of one tensor to the file it is given, and says each version
 * when it stands. A version is a million numbers, all of them its number.
 */
import { saveSafetensors } from '../../src/io/files.ts';
import { full } from '../../src/tensor/create.ts';

const [path, first] = process.argv.slice(2) as [string, string];
for (let version = Number(first); ; version++) {
  await saveSafetensors(path, { x: full([1_000_000], version) }, { version: String(version) });
  process.stdout.write(`${version}\n`);
}
