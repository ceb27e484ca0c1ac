/**
 * What a learning rule is to the comparison: how to make a network that learns by it, and what that network can be asked.
 *
 * A trainer gets images as a tensor [n, pixels], standardized over the training set unless it asks for another scale, and labels 0 to 9. It must not keep
 * them. Everything random in it comes from the generator that it was made with, so that a seed gives the same bits.
 */

import type { Generator, Tensor } from '../../../src/index.ts';

/** A layer's weight update by the rule, and what backpropagation would do in its place. Tensors of one shape. */
export interface UpdatePair {
  /** The layer's name in tables, e.g. 'layer 1'. */
  readonly layer: string;
  readonly update: Tensor;
  /** Towards lower loss, as `update` is: a negative gradient, at the same weights, of the loss that the rule descends. */
  readonly backprop: Tensor;
}

export interface Trainer {
  /** Learns from one batch. Returns how many of its images the network had right before it learned. */
  step(images: Tensor, labels: Int32Array): number;
  /** The class of each image. Changes nothing. */
  predict(images: Tensor): Int32Array;
  /**
   * The updates that the rule would make now on this batch beside those of backpropagation, for some or all layers.
   * Changes nothing that learning depends on: neither weights nor the generator. Absent: there is nothing to compare.
   */
  updateAndBackpropUpdate?(images: Tensor, labels: Int32Array): readonly UpdatePair[];
}

export interface Configuration {
  /** One word, for --rules and tables. */
  readonly name: string;
  /** One sentence: what the rule does. */
  readonly about: string;
  /** Widths from the pixels to the classes. */
  readonly layers: readonly number[];
  /** Images a step. */
  readonly batch: number;
  /** 'unit': pixels from 0 (black) to 1 (white). Left out: standardized over the training set. */
  readonly pixels?: 'unit';
  /** Passes over the training images unless --epochs says otherwise. */
  readonly epochs: number;
  make(seed: number, generator: Generator): Trainer;
}
