/**
 * The output layer under methods with masks: each context has rows of its own there, those of its head, which learn with it
 * and then stand still. They are not pruned and not shared, as the separate output layers of the published codes are not.
 */
import { scope } from '../../autograd/modes.ts';
import type { Context, Head } from '../../data/scenarios.ts';
import { overwrite } from '../../importance/passes.ts';
import { writeAt } from '../../state/reset.ts';
import { buffer, full } from '../../tensor/create.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Learning } from '../method.ts';
import { type Commit, checkFields, checkFlag, checkList, checkTensor, copyOf } from '../state.ts';
import { gateAt } from './gates.ts';

/** Weight [outputs, in] and bias [outputs] of the layer that gives the output. */
export interface OutputLayer {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
}

/** Masks choose by the context: it must be told, always. */
export function checkTask(who: string, { index, kind }: Context): void {
  if (kind !== 'task')
    throw new Error(
      `${who}: context ${index} is of the kind '${kind}', where the learner is not told which context an example is of. Masks need ` +
        "to know: use a scenario of the kind 'task'.",
    );
}

/** The same of a question. */
export function checkTold(who: string, context: number | null): asserts context is number {
  if (context === null)
    throw new Error(
      `${who}: of which context are these examples? Its mask is needed to answer, and null says that nobody knows. Ask with the ` +
        "context, as scenarios of the kind 'task' do.",
    );
}

/** The layer that gives the model's output, found by asking it about one example. */
export function outputLayer(who: string, { train }: Context, { model, output }: Learning): OutputLayer {
  const modes = model.namedModules().map(([, module]) => ({ module, training: module.training }));
  model.eval();
  try {
    return scope(() => {
      const last = output(train.inputs([0])).node;
      const [, weight, bias] = last?.op?.name === 'linear' ? last.inputs : [];
      const isLeaf = (x: Tensor | undefined): boolean => x?.node != null && x.node.op === null;
      if (weight === undefined || !isLeaf(weight) || (bias !== undefined && !isLeaf(bias)))
        throw new Error(
          `${who}: the model's output is the result of ${last?.op?.name ?? 'nothing that learns'}. The last layer must be linear, with ` +
            'weights of its own, so that each context has rows of its own there.',
        );
      return { weight, bias: bias ?? null };
    });
  } finally {
    for (const { module, training } of modes) module.training = training;
  }
}

/** Which rows stand still, as plain data. */
export interface OutputRowsState {
  readonly ended: readonly Head[];
  /** Of the weight and of the bias: a number a row. */
  readonly gates: readonly Tensor[];
  /** Whether they are attached. */
  readonly attached: boolean;
}

/** Lets the rows of a context's head stand still when it has ended. */
export class OutputRows {
  readonly #who: string;
  readonly #gates: readonly Tensor[];
  readonly #removals: (() => void)[] = [];
  readonly #layer: OutputLayer;
  readonly #ended: Head[] = [];

  constructor(who: string, layer: OutputLayer) {
    const rows = layer.weight.shape[0]!;
    this.#who = who;
    this.#layer = layer;
    // One number a row: column resets do not open rows of contexts that have ended.
    this.#gates = [buffer(full([rows, 1], 1)), ...(layer.bias === null ? [] : [buffer(full([rows], 1))])];
  }

  /** Checks that a context's rows are its own. */
  begin({ index, head: [from, to] }: Context): void {
    const other = this.#ended.find((head) => from < head[1] && head[0] < to);
    if (other !== undefined)
      throw new Error(
        `${this.#who}: context ${index} has the head [${from}, ${to}], and an earlier one [${other.join(', ')}]. Outputs that two contexts ` +
          "share cannot be frozen for one: use a scenario of the kind 'task', where each has its own.",
      );
  }

  end({ head }: Context): void {
    this.#ended.push([head[0], head[1]]);
    this.#attach();
    const rows = Array.from({ length: head[1] - head[0] }, (_, i) => head[0] + i);
    for (const gate of this.#gates) writeAt(gate, rows, () => 0);
  }

  #attach(): void {
    if (this.#removals.length > 0) return;
    const { weight, bias } = this.#layer;
    for (const [i, parameter] of [weight, ...(bias === null ? [] : [bias])].entries())
      this.#removals.push(gateAt(parameter, this.#gates[i]!));
  }

  remove(): void {
    for (const removal of this.#removals.splice(0)) removal();
  }

  stateDict(): OutputRowsState {
    const ended = this.#ended.map(([from, to]): Head => [from, to]);
    return { ended, gates: this.#gates.map(copyOf), attached: this.#removals.length > 0 };
  }

  /** To be used before any context has begun. */
  taking(state: OutputRowsState): Commit {
    const who = `${this.#who}.loadStateDict`;
    checkFields(`${who}, outputs`, state, ['ended', 'gates', 'attached']);
    const { ended, gates, attached } = state;
    checkFlag(who, 'attached', attached);
    checkList(who, 'ended', ended);
    for (const [i, gate] of this.#gates.entries())
      checkTensor(who, `the gate of ${i === 0 ? 'weight' : 'bias'} of the outputs`, gates?.[i], gate.shape);
    const heads = ended.map(([from, to]): Head => [from, to]);
    return () => {
      this.#ended.splice(0, Infinity, ...heads);
      for (const [i, gate] of this.#gates.entries()) overwrite(gate, gates[i]!);
      if (attached) this.#attach();
    };
  }
}
