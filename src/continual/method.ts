/**
 * What a method against forgetting (or for plasticity) is: hooks around the steps of learning, each of which may be missing.
 *
 * A method changes one of five things, and names it by the hook it has: the network before an example is seen (`prepare`: masks),
 * the loss (`loss`: penalties, replay, distillation), the gradients (`gradients`: projections), the network after the
 * optimizer's step (`stepped`: path integrals, resets), or what is kept when a context ends (`end`: anchors, buffers). So methods mix: a learner
 * holds any number, and calls each hook in their order.
 */
import type { Batch, Context, Head } from '../data/scenarios.ts';
import type { Module } from '../nn/module.ts';
import type { Tensor } from '../tensor/tensor.ts';

export type { Batch };

/** What methods see of the learner they belong to. */
export interface Learning {
  /** For what needs more of it than its output: its mode, its buffers, its values of an earlier time (forwardWith). */
  readonly model: Module & { forward(x: Tensor): Tensor };
  /** The model's output for x, [n, outputs], all columns, as it now is; recorded. */
  output(x: Tensor): Tensor;
  /** Mean cross-entropy of these columns, labels counted from column 0 of the output. */
  lossOf(output: Tensor, labels: Int32Array, head: Head): Tensor;
  /** What is learned, each with its name. */
  readonly parameters: ReadonlyMap<string, Tensor>;
}

/** One step: a batch, and what the model said of it before it learned. */
export interface Step {
  readonly batch: Batch;
  /** [n, outputs] */
  readonly output: Tensor;
  /** The loss of the batch alone, before methods add to it. */
  readonly own: Tensor;
  /** Number of the step within the context, from 0. */
  readonly index: number;
  readonly learning: Learning;
}

export interface Method {
  /** One word, for tables. */
  readonly name: string;
  /**
   * When a learner is made with it: whose parameters these are. Anchors, gates and tensors that a method puts at parameters, and that
   * travel with a model (src/state/side-state.ts), are put there now, so that a checkpoint finds a place for them.
   */
  attach?(learning: Learning): void;
  /** Before the first step of a context, and with it any check that can be made before training. */
  begin?(context: Context, learning: Learning): void;
  /** Before the forward pass of a step; or, with null, of a question about examples of that context (null where it is not known). */
  prepare?(context: number | null, step: number | null): void;
  /** After a question was answered, or failed: what `prepare` changed for it is as it was. */
  answered?(): void;
  /** The loss to descend on, from that of the batch and the methods before this one. */
  loss?(loss: Tensor, step: Step): Tensor;
  /** After the backward pass, before the optimizer's step: gradients may be changed. */
  gradients?(step: Step): void;
  /** After the optimizer's step. */
  stepped?(step: Step): void;
  /** After the last step of a context. */
  end?(context: Context, learning: Learning): void;
  /** All that decides what it does from here on, beside what travels with the model: plain data for a checkpoint. */
  stateDict?(): unknown;
  /** Takes over what `stateDict` of such a method gave. What does not fit is an error that changes nothing. */
  loadStateDict?(state: never): void;
}

/** A method whose state can be saved: that of its learner holds it, or give it to a checkpoint as an algorithm. */
export interface StatefulMethod<State> extends Method {
  stateDict(): State;
  loadStateDict(state: State): void;
}
