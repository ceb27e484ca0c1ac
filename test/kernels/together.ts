import type { Family } from '../../src/kernels/wasm/family.ts';

/** Several families as one, to be held to their twins in one memory. */
export const together = (families: readonly Family[]): Family => ({
  names: families.flatMap(({ names }) => names),
  emit: (environment) => Object.assign({}, ...families.map((family) => family.emit(environment))),
});
