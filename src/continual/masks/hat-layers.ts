/**
 * The layers of a network with masks: which units stand behind which weight, which units that weight reads, and the gates that follow
 * from both.
 */
import { Sequential } from '../../nn/container.ts';
import { Conv2d } from '../../nn/convolution.ts';
import { Linear } from '../../nn/linear.ts';
import type { Module } from '../../nn/module.ts';
import { buffer, full } from '../../tensor/create.ts';
import { showShape } from '../../tensor/layout.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { HatMask } from './hat-mask.ts';

/** What is known of the units behind which a mask stands. */
export interface Units {
  readonly module: HatMask;
  /** A, [units]. */
  readonly largest: Float32Array;
  /** 1 - A. */
  readonly free: Tensor;
}

/** A layer, the units that it makes, and those that it reads; null: the network's input. */
export interface Masked {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly made: Units;
  readonly read: Units | null;
  /** For weight and bias. */
  readonly gates: readonly Tensor[];
}

/** Modules in the order of the forward pass. */
function* inOrder(model: Module): Generator<Module> {
  if (model instanceof Sequential) for (const module of model) yield* inOrder(module);
  else yield model;
}

/** Layers with the masks before and behind them, and the layer of outputs. */
export function layersOf(model: Module): { masked: readonly Masked[]; output: Linear } {
  if (!(model instanceof Sequential))
    throw new Error('hat: the model must be a Sequential, in which the order of layers and masks can be seen.');
  const masked: Masked[] = [];
  let read: Units | null = null;
  let layer: Linear | Conv2d | null = null;
  for (const module of inOrder(model)) {
    if (module instanceof HatMask) {
      if (layer === null)
        throw new Error('hat: a HatMask must stand behind the activation of a layer of its own, one behind each.');
      const units = layer.weight.shape[0]!;
      if (module.units !== units)
        throw new Error(
          `hat: a HatMask of ${module.units} units stands behind a layer of ${units}. They must be equal.`,
        );
      const largest = new Float32Array(units);
      const made: Units = { module, largest, free: buffer(full([units], 1)) };
      const { weight, bias } = layer;
      const gates = [weight, ...(bias === null ? [] : [bias])].map(({ shape }) => buffer(full(shape, 1)));
      masked.push({ weight, bias, made, read, gates });
      [read, layer] = [made, null];
    } else if (module instanceof Linear || module instanceof Conv2d) {
      if (layer !== null) throw unmasked(layer);
      const columns = module.weight.shape[1]!;
      if (read !== null && (columns % read.module.units !== 0 || (module instanceof Conv2d && module.groups > 1)))
        throw new Error(
          `hat: a weight of shape ${showShape(module.weight.shape)} does not read each of the ${read.module.units} units before it with columns of its own.`,
        );
      layer = module;
    } else if (module.parameters().length > 0)
      throw new Error(
        `hat: parameters of ${module.constructor.name} belong to no unit's mask, and would go on learning for all contexts. Leave it out, or ` +
          'give its tensors as numbers that do not learn.',
      );
  }
  if (!(layer instanceof Linear) || masked.length === 0)
    throw new Error(
      'hat: the model needs hidden layers with a HatMask behind each, and a linear layer of outputs with none: new Sequential(new ' +
        'Linear(4, 8), new ReLU(), new HatMask(8, { contexts: 2 }), new Linear(8, 4)).',
    );
  return { masked, output: layer };
}

const unmasked = ({ weight }: Linear | Conv2d): Error =>
  new Error(
    `hat: behind the layer with the weight of shape ${showShape(weight.shape)} stands no HatMask. Each layer of hidden units needs one: new ` +
      `HatMask(${weight.shape[0]}, { contexts }).`,
  );
