/**
 * Scenarios: data that come in contexts, one after the other, and what a learner is asked in each.
 *
 * A context's examples are not copied: they are rows of the data set, and what makes them different (which digits, which
 * permutation, which angle) is applied when a batch is asked for. Labels are columns of the model's output, and a head is the
 * range of columns among which the answer is sought.
 */
import type { Tensor } from '../tensor/tensor.ts';

/** Examples of one kind, any of which can be had as a batch. */
export interface Examples {
  /** One for each example: the column of the output that is right. */
  readonly labels: Int32Array;
  /** The inputs of these examples, [rows.length, ...]. A new tensor each time. */
  inputs(rows: ArrayLike<number>): Tensor;
}

/** Columns of a model's output, from the first up to but not including the second: where the answer is sought. */
export type Head = readonly [from: number, to: number];

/** What is learned between two changes. */
export interface Context {
  /** 0 for the first. */
  readonly index: number;
  readonly train: Examples;
  readonly test: Examples;
  readonly head: Head;
}

/**
 * What a learner is told. task: which context an example is of, always, so that each may have a head of its own. domain: not
 * when it is asked; the contexts share their outputs. class: neither, and classes of all contexts are told apart.
 */
export type ScenarioKind = 'task' | 'domain' | 'class';

export interface Scenario {
  readonly kind: ScenarioKind;
  readonly contexts: readonly Context[];
  /** Columns that the model's output needs. */
  readonly outputs: number;
  /** Shape of one example's input. */
  readonly inputShape: readonly number[];
}
