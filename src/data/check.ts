/** Checks of arguments that several makers of data share. Each throws a sentence that names who asked and for what. */

export function checkWhole(
  who: string,
  what: string,
  value: number,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): void {
  if (!(Number.isSafeInteger(value) && value >= least && value <= most)) {
    const range = most === Number.MAX_SAFE_INTEGER ? `${least} up` : `${least} to ${most}`;
    throw new RangeError(`${who}: ${what} must be an integer from ${range}, but it is ${String(value)}.`);
  }
}
