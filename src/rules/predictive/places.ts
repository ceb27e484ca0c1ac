/**
 * A block as predictive coding sees it: a place for each node, in topological order.
 *
 * The outputs of free ops (and of nodes that a hard target holds) are **values** x: they may differ from what their op
 * predicts, mu. All other nodes are functions of the values. What cannot change while the values relax is known
 * beforehand and never computed anew: the prediction of a first layer, say, whose input is data.
 */
import { arithmetic } from '../../autograd/arithmetic.ts';
import type { Block, BlockNode, Evaluation } from '../../autograd/block.ts';
import { run } from '../../storage/dispatch.ts';
import { address, allocateShape, packed, wroteTo } from '../../tensor/access.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { Clamp, hardTargets, Pull } from './pull.ts';

export class Place {
  readonly block: BlockNode;
  /** For each input the place that computes it; null: it comes from outside. */
  readonly sources: readonly (Place | null)[];
  readonly free: boolean;
  /** How firmly a value is held to its prediction. */
  readonly precision: number;
  readonly pull: Pull | null;
  readonly clamp: Clamp | null;
  /** Whether its prediction changes while values move, and whether what consumers see does. */
  readonly varies: boolean;
  readonly moves: boolean;
  /** Of a value: x, or with frozen predictions x - mu. */
  readonly state: Tensor | null;
  /** Of a value that moves: the step it takes next, and where it stood before the last one. */
  readonly step: Tensor | null;
  readonly before: Tensor | null;

  /** Prediction and Jacobian as they stand. */
  evaluation: Evaluation;
  /** What consumers see; with frozen predictions, what they saw in the forward pass. */
  value: Tensor;
  /** Of a value: precision (mu - x), which is dF/dmu. */
  error: Tensor | null = null;

  constructor(
    block: BlockNode,
    sources: readonly (Place | null)[],
    options: { free: boolean; clamp: Clamp | null; precision: number; frozen: boolean; undo: boolean },
  ) {
    const { free, clamp, precision, frozen, undo } = options;
    const { output } = block.evaluation;
    this.block = block;
    this.sources = sources;
    this.free = free;
    this.clamp = clamp;
    this.precision = precision;
    const { message } = block;
    const { slope = null, springs = null } = message ?? {};
    const soft = slope !== null || (springs !== null && !(clamp?.whole ?? false));
    this.pull = message !== null && soft ? new Pull(message, output, !free && output.size === 1) : null;
    this.varies = !frozen && sources.some((source) => source?.moves);
    this.moves = clamp?.whole ? false : free || sources.some((source) => source?.moves);
    this.state = free || clamp !== null ? stateOf(output, clamp, frozen) : null;
    this.step = free && this.moves ? allocateShape(output.shape) : null;
    this.before = this.step !== null && undo ? allocateShape(output.shape) : null;
    this.evaluation = block.evaluation;
    // A source that is held elsewhere than the forward pass left it, once and for all.
    if (!frozen && !this.varies && sources.some((source, i) => source !== null && source.value !== this.inputs[i]))
      this.evaluation = block.evaluate(this.inputsNow());
    this.value = output;
    if (!frozen) this.see();
  }

  get inputs(): readonly Tensor[] {
    return this.block.evaluation.inputs;
  }

  /** The inputs as the values of the block have them now. */
  inputsNow(): Tensor[] {
    return this.inputs.map((input, i) => this.sources[i]?.value ?? input);
  }

  /** Sets what consumers see. */
  see(): void {
    const { output } = this.evaluation;
    if (this.free) this.value = this.state as Tensor;
    else this.value = this.clamp === null ? output : arithmetic.where(this.clamp.mask, this.state as Tensor, output);
  }
}

/** Where a value starts: as the forward pass left it, and where it is held. */
function stateOf(rest: Tensor, clamp: Clamp | null, frozen: boolean): Tensor {
  const start = frozen
    ? (clamp?.displacement ?? null)
    : clamp === null
      ? rest
      : arithmetic.add(rest, clamp.displacement);
  if (start !== null) return packed(start);
  const state = allocateShape(rest.shape);
  run.fill(address(state), state.size, 0);
  wroteTo(state);
  return state;
}

export interface PlaceOptions {
  readonly free: ReadonlySet<string>;
  readonly precision: (place: number, op: string) => number;
  /** Whether predictions and Jacobians stay as the forward pass left them. */
  readonly frozen: boolean;
  /** Whether sweeps may be undone. */
  readonly undo: boolean;
}

/** The places of a block. Throws if nothing in it is free. */
export function placesOf({ nodes }: Block, options: PlaceOptions): Place[] {
  const { free, precision, frozen, undo } = options;
  const isFree = ({ op }: BlockNode) => free.has(op);
  const hard = hardTargets(nodes, isFree);
  const places = new Map<BlockNode, Place>();
  let values = 0;
  for (const node of nodes) {
    const sources = node.sources.map((source) => (source === null ? null : (places.get(source) as Place)));
    const held = hard.get(node);
    const clamp = held === undefined ? null : new Clamp(held);
    const isValue = isFree(node) || clamp !== null;
    const given = isValue ? precision(values++, node.op) : 1;
    if (!(given > 0 && given < Infinity))
      throw new Error(`predictive coding: a precision is a positive number; that of ${node.op} is ${given}.`);
    places.set(node, new Place(node, sources, { free: isFree(node), clamp, precision: given, frozen, undo }));
  }
  if (values === 0)
    throw new Error(
      `predictive coding: none of the ops in the block (${[...new Set(nodes.map(({ op }) => op))].join(', ')}) is free to relax; ` +
        `free are ${[...free].join(', ')}. Name some of them in the option free.`,
    );
  return [...places.values()];
}
