/**
 * How a model's parameters belong together: layers, their units, and what kind of parameter each is.
 *
 * Along the first axis of a kernel stand the outputs, as in Linear [out, in] and Conv2d [out, in, height, width]. A unit is
 * one output: everything of the kernel but that axis, and its number of the bias. A norm's unit is one scale and one shift.
 * It is read off the modules, so it needs no data and no graph.
 */

import type { Module } from '../nn/module.ts';
import { LayerNorm } from '../nn/normalization.ts';
import { sizeOf } from '../tensor/layout.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { parametersOf } from './measure.ts';

/**
 * What a parameter is: the weights of a layer (two axes or more), its bias, or scale or shift of a normalization, for which
 * any parameter of a module without kernels is taken, but a bias alone.
 */
export type ParameterKind = 'kernel' | 'bias' | 'norm';

export const parameterKinds: readonly ParameterKind[] = ['kernel', 'bias', 'norm'];

/** One parameter and where it belongs. */
export interface Placed {
  readonly name: string;
  readonly parameter: Tensor;
  readonly kind: ParameterKind;
  /** Path of the module; the parameter's own name where a module has several kernels. */
  readonly layer: string;
  /** Whether it is of a convolution. */
  readonly convolution: boolean;
  /** Numbers that stand side by side for one unit: unit u has elements u * perUnit up to (u + 1) * perUnit. */
  readonly perUnit: number;
}

const lastOf = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

/** Every parameter of a model with its place, in the order of namedParameters(). */
export function structureOf(who: string, model: Module): Placed[] {
  const names = new Map(Array.from(parametersOf(who, model), ([name, parameter]) => [parameter, name]));
  const owned = ownersOf(model, names);
  return Array.from(names, ([parameter, name]) => {
    const { path, module, own } = owned.get(parameter)!;
    const base = { name, parameter };
    const alone = { layer: path, convolution: false, perUnit: 1 };
    if (module instanceof LayerNorm) return { ...base, ...alone, kind: 'norm' };
    const kernels = own.filter(({ ndim }) => ndim >= 2);
    const [kernel] = kernels;
    if (kernel === undefined)
      return { ...base, ...alone, kind: lastOf(name) === 'bias' && own.length === 1 ? 'bias' : 'norm' };
    if (parameter.ndim >= 2)
      return {
        ...base,
        kind: 'kernel',
        layer: kernels.length === 1 ? path : name,
        convolution: parameter.ndim > 2,
        perUnit: sizeOf(parameter.shape.slice(1)),
      };
    const fits = kernels.length === 1 && parameter.ndim === 1 && parameter.size === kernel.shape[0];
    return { ...base, kind: 'bias', layer: fits ? path : name, convolution: fits && kernel.ndim > 2, perUnit: 1 };
  });
}

interface Owner {
  readonly path: string;
  readonly module: Module;
  /** All parameters of that module itself. */
  readonly own: readonly Tensor[];
}

/** The module that each parameter is found in: the longest path that its name begins with. */
function ownersOf(model: Module, names: ReadonlyMap<Tensor, string>): Map<Tensor, Owner> {
  const modules = model.namedModules().sort(([a], [b]) => b.length - a.length);
  const places = Array.from(names, ([parameter, name]) => {
    const [path, module] = modules.find(([path]) => path === '' || name.startsWith(`${path}.`))!;
    return { parameter, path, module };
  });
  const own = new Map<Module, Tensor[]>();
  for (const { parameter, module } of places) own.set(module, [...(own.get(module) ?? []), parameter]);
  return new Map(places.map(({ parameter, path, module }) => [parameter, { path, module, own: own.get(module)! }]));
}

/** The name of a layer in a sentence. */
export const shownLayer = (layer: string): string => (layer === '' ? 'the model itself' : layer);
