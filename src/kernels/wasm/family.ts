/**
 * A family: kernels that are emitted together, as one module, when the first of them is called.
 *
 * What a family gets to work with is its environment: the memory, room that it keeps for ever (`reserve`), room that
 * is good until the next request (`scratch`; sizes that depend on operands), and kernels of other families to call.
 * Addresses and sizes are in elements (4 bytes), as everywhere above the emitted code.
 */
import type { KernelName, Kernels } from '../table.ts';

export interface Environment {
  readonly memory: WebAssembly.Memory;
  /** Room for ever: the address of `size` elements, aligned to 64 bytes. */
  reserve(size: number): number;
  /** Room until the next call of scratch: the address of at least `size` elements, aligned to 64 bytes. */
  scratch(size: number): number;
  /** A kernel of another family, emitted first if need be: something for `WasmModule.import`. */
  kernel<Name extends KernelName>(name: Name): Kernels[Name];
}

export interface Family {
  readonly names: readonly KernelName[];
  emit(environment: Environment): Partial<Kernels>;
}
