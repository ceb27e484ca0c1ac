/** Layers that hold or arrange other things: Sequential, Identity, Flatten. */

import { reshape } from '../ops/shape.ts';
import { sizeOf } from '../tensor/layout.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Module } from './module.ts';

/**
 * Layers one after the other. Parameters are named by position: '0.weight', '2.bias'.
 *
 *     const model = new Sequential(new Linear(784, 256), new ReLU(), new Linear(256, 10));
 *     const logits = model.forward(x);
 *     model.at(0); // the first Linear
 */
export class Sequential extends Module {
  readonly #layers: readonly Module[];

  constructor(...layers: Module[]) {
    super();
    const stranger = layers.findIndex((layer) => !(layer instanceof Module));
    if (stranger >= 0) throw new TypeError(`Sequential: argument ${stranger} is not a Module.`);
    this.#layers = layers;
  }

  override forward(x: Tensor): Tensor {
    for (const layer of this.#layers) x = layer.forward(x);
    return x;
  }

  /** How many layers there are. */
  get length(): number {
    return this.#layers.length;
  }

  /** The layer at this position; negative positions count from the end. */
  at(index: number): Module {
    const layer = this.#layers.at(index);
    if (layer === undefined) {
      throw new RangeError(`Sequential.at: there is no layer ${index}; there are ${this.#layers.length}.`);
    }
    return layer;
  }

  [Symbol.iterator](): IterableIterator<Module> {
    return this.#layers.values();
  }

  protected override *members(): ReturnType<Module['members']> {
    for (let i = 0; i < this.#layers.length; i++) yield [String(i), this.#layers[i]!];
    yield* super.members();
  }
}

/** Passes its input on: stands where a layer was taken out. */
export class Identity extends Module {
  override forward(x: Tensor): Tensor {
    return x;
  }
}

/** [N, ...] to [N, everything else], as between convolutions and linear layers. */
export class Flatten extends Module {
  override forward(x: Tensor): Tensor {
    const [count, ...rest] = x.shape;
    if (count === undefined)
      throw new RangeError('Flatten: a scalar has no first axis to keep. Its input must be [N, ...].');
    return reshape(x, [count, sizeOf(rest)]);
  }
}
