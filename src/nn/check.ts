/** Checks of constructor arguments that several layers share. Each throws a sentence that names layer and argument. */

/** A size or a count: an integer from 1 up. */
export function checkCount(layer: string, name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new RangeError(`${layer}: ${name} must be an integer from 1 up, but it is ${String(value)}.`);
  }
}

export function checkFinite(layer: string, name: string, value: number): void {
  if (!Number.isFinite(value)) throw new RangeError(`${layer}: ${name} must be a finite number, but it is ${value}.`);
}
