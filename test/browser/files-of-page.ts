/** What test/golden.test.ts asks of node:fs and node:path, in a page: one file, fetched before the tests begin. */
const response = await fetch(new URL('../golden/ops.json', import.meta.url));
if (!response.ok) throw new Error(`ops.json: the server of the tests answered ${response.status}.`);
const text = await response.text();

export const join = (...parts: string[]): string => parts.join('/');
export const existsSync = (path: string): boolean => path.endsWith('/ops.json');
export const readFileSync = (path: string): string => {
  if (!existsSync(path)) throw new Error(`A page has no file ${path}: only ops.json was fetched.`);
  return text;
};
