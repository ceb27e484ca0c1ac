/**
 * The module that hard attention needs in a network: behind each layer of hidden units, one that multiplies them with the
 * mask of a context. Without the method it passes everything on.
 */
import { parameter } from '../../autograd/leaf.ts';
import { Module } from '../../nn/module.ts';
import { mul } from '../../ops/binary.ts';
import { sigmoid } from '../../ops/elementwise.ts';
import { reshape } from '../../ops/shape.ts';
import { defaultGenerator, type Generator } from '../../random/generator.ts';
import { given } from '../../tensor/given.ts';
import { showShape } from '../../tensor/layout.ts';
import { randn } from '../../tensor/random.ts';
import type { Tensor } from '../../tensor/tensor.ts';

export interface HatMaskOptions {
  /** How many contexts there will be: each has an embedding of its own. */
  readonly contexts: number;
  /** Where the first embeddings come from; the default generator unless given. */
  readonly generator?: Generator;
}

/** Which mask is in force: sigmoid(scale e) of a context's embedding e. */
export interface MaskInForce {
  readonly context: number;
  readonly scale: number;
}

/**
 * x [n, units, ...] times a mask over the units, sigmoid(s e), of the context that `hat` says; without `hat`, x itself. The
 * embeddings e, one a context, start as N(0, 1) and are parameters of the model, so its optimizer holds them.
 * It stands behind the activation of a layer: `new Linear(784, 400), new ReLU(), new HatMask(400, { contexts: 5 })`, or behind that of
 * a convolution, whose channels are its units.
 *
 *     const mask = new HatMask(3, { contexts: 2 });
 *     mask.parameters().length; // 2
 *     mask.forward(tensor([[1, 2, 3]])).toArray(); // [[1, 2, 3]]
 */
export class HatMask extends Module {
  readonly units: number;
  /** One for each context, [units]. */
  readonly embeddings: readonly Tensor[];
  #inForce: MaskInForce | null = null;
  #mask: Tensor | null = null;

  constructor(units: number, options: HatMaskOptions) {
    super();
    const { contexts, generator = defaultGenerator } = given('new HatMask(8, { contexts: 2 })', 'options', options);
    for (const [name, count] of Object.entries({ units, contexts }))
      if (!(Number.isInteger(count) && count >= 1))
        throw new RangeError(`HatMask: ${name} must be a whole number from 1 up, but it is ${String(count)}.`);
    this.units = units;
    this.embeddings = Array.from({ length: contexts }, () => parameter(randn([units], { generator })));
  }

  /** Which mask is in force; null: none. */
  get inForce(): MaskInForce | null {
    return this.#inForce;
  }

  set inForce(next: MaskInForce | null) {
    this.#inForce = next;
    this.#mask = null;
  }

  /** The mask of the last forward pass, [units], recorded if that was; null: there was none. */
  get mask(): Tensor | null {
    return this.#mask;
  }

  override forward(x: Tensor): Tensor {
    if (this.#inForce === null) return x;
    const { units } = this;
    const [, channels, ...image] = x.shape;
    if (channels !== units)
      throw new RangeError(
        `HatMask: ${units} units need an input [n, ${units}, ...], but its shape is ${showShape(x.shape)}.`,
      );
    const { context, scale } = this.#inForce;
    const embedding = this.embeddings[context];
    if (embedding === undefined)
      throw new RangeError(
        `HatMask: there is no context ${context}; it was made for ${this.embeddings.length}. Make it for all that will come.`,
      );
    this.#mask = sigmoid(mul(embedding, scale));
    return mul(x, image.length === 0 ? this.#mask : reshape(this.#mask, [units, ...image.map(() => 1)]));
  }
}
