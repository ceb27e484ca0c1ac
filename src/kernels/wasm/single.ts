/**
 * Families of one kernel. Emitting code costs time before the first call, and a program uses few of the many elementwise
 * kernels: each that needs nothing of the others is a module of its own.
 */
import type { KernelName, Kernels } from '../table.ts';
import { WasmModule } from './assembler.ts';
import type { Environment, Family } from './family.ts';

/** `define` defines the kernel `name` (and what it calls) in the module it is given. */
export function single(name: KernelName, define: (module: WasmModule, environment: Environment) => void): Family {
  return {
    names: [name],
    emit(environment) {
      const module = new WasmModule();
      define(module, environment);
      return module.instantiate(environment.memory) as Partial<Kernels>;
    },
  };
}
