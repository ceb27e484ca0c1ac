/**
 * What an op is, and the one door through which every op, built in or a user's own, is called and recorded.
 *
 * An op is declared once: its name, its inputs, what it computes, its gradient, sample inputs. From the registry of all
 * of them come the checks of first and second derivatives, the table in the docs, and whatever else must not forget one.
 */
import { settle } from '../storage/context.ts';
import { asTensor } from '../tensor/create.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkFinite, whereCalled } from './anomaly.ts';
import { mode } from './modes.ts';
import { type Node, record } from './node.ts';
import type { Draw } from './samples.ts';

/** What a gradient rule sees of a node. */
export interface Recorded<Inputs extends readonly Tensor[], Attributes> {
  readonly inputs: Inputs;
  readonly attributes: Attributes;
  readonly output: Tensor;
  readonly saved: Tensor | null;
}

/** A function type that is compared loosely, so that ops of any inputs and attributes fit one list. */
type Loose<F extends (...args: never[]) => unknown> = {
  bivariant(...args: Parameters<F>): ReturnType<F>;
}['bivariant'];

/**
 * The gradient of one input: given the gradient g of the output, what the input gets (of the input's shape), or null
 * for nothing. Written with tensor ops, so that it has derivatives itself.
 */
export type GradientRule<Inputs extends readonly Tensor[], Attributes> = Loose<
  (node: Recorded<Inputs, Attributes>, g: Tensor, index: number) => Tensor | null
>;

/**
 * The same as one kernel call for the first order: writes the gradient of input `index` to the address `out` (of
 * the input's shape, contiguous), or adds to what stands there. g is contiguous.
 */
export type RawGradient<Inputs extends readonly Tensor[], Attributes> = Loose<
  (node: Recorded<Inputs, Attributes>, g: Tensor, out: number, accumulate: 0 | 1, index: number) => void
>;

/** Why an op has no derivative: its results never require one. */
export interface NotDifferentiable {
  readonly because: string;
}

export interface Sample<Inputs extends readonly Tensor[], Attributes> {
  readonly inputs: Inputs;
  readonly attributes: Attributes;
}

/** The projection of a wished-for output onto what an op can produce, its image. */
export interface Projection<Inputs extends readonly Tensor[], Attributes> {
  /** exact: the nearest value the op can produce (of its closure); approximate: one that it can produce, near by. */
  readonly is: 'exact' | 'approximate';
  readonly project: Loose<(wished: Tensor, node: Recorded<Inputs, Attributes>) => Tensor>;
}

/**
 * What an op knows of examples (per-example.ts). A batch of `count` examples cuts a value into as many equal parts, in row-major
 * order: part n of [N, ...] is row n, of [N T, ...] the rows n T to (n + 1) T - 1. All of it may be left out: then it is found out by
 * trying, which takes more gradient rules.
 */
export interface PerExample<Inputs extends readonly Tensor[], Attributes> {
  /** Whether part n of the output depends on part n of this input, and on no other part of it. */
  readonly apart?: Loose<(node: Recorded<Inputs, Attributes>, index: number, count: number) => boolean>;
  /**
   * Where examples share the input: what examples `from` up to but not including `to` send to it, [to - from, ...shape], given the gradient g of
   * the whole output. null: cannot say here.
   */
  readonly gradients?: Loose<
    (node: Recorded<Inputs, Attributes>, g: Tensor, index: number, part: ExampleRange) => Tensor | null
  >;
  /**
   * Where each example adds to each entry of the input's gradient one product, of an entry of g and one of each of some other inputs: the numbers
   * of these. The sum of the products' squares is then the gradient rule on squares. null: it is not so here.
   */
  readonly factors?: Loose<
    (node: Recorded<Inputs, Attributes>, index: number, count: number) => readonly number[] | null
  >;
}

/** Some examples of a batch: from, ..., to - 1 of count. */
export interface ExampleRange {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

export interface OpDefinition<Inputs extends readonly Tensor[], Attributes> {
  readonly name: string;
  /** Names of the inputs, for errors and the docs; one that may be left out ends in ?, any number is `...name`. */
  readonly inputs: readonly string[];
  /** Computes the output: always a new tensor. `node` is there if a gradient may be asked for: keep what it needs in `saved`. */
  readonly forward: Loose<(inputs: Inputs, attributes: Attributes, node: { saved: Tensor | null } | null) => Tensor>;
  /** One rule for each input, or one for all (it is told which). */
  readonly gradient: GradientRule<Inputs, Attributes> | readonly GradientRule<Inputs, Attributes>[] | NotDifferentiable;
  /** Optional fast path of the first order; entries that are null use the rule. */
  readonly raw?: RawGradient<Inputs, Attributes> | readonly (RawGradient<Inputs, Attributes> | null)[];
  /** What the rules read besides g. Writing it in place before backward is an error. Default: 'all'. */
  readonly reads?: 'nothing' | 'inputs' | 'output' | 'all';
  /** Small inputs, away from kinks, on which derivatives are compared with differences. */
  readonly samples: (draw: Draw) => readonly Sample<Inputs, Attributes>[];
  /** What the op can produce. Default: 'everything', any value of the output's shape. */
  readonly feasible?: 'everything' | Projection<Inputs, Attributes>;
  /**
   * Whether the op only moves numbers: every output is one of the inputs' elements, or a constant. The gradient rule of
   * such an op carries springs as it carries slopes, and what it can produce is what its inputs' producers can.
   */
  readonly carries?: boolean;
  /** How many of the inputs, from the first, are data; the others are what a layer learns. Default: all. */
  readonly data?: number;
  /** What each example of a batch sends to the inputs. */
  readonly perExample?: NoInfer<PerExample<Inputs, Attributes>>;
  /** Whether the rule is not the derivative on purpose (straight-through and the like): checks pass over it. */
  readonly surrogate?: boolean;
}

export type AnyOp = OpDefinition<readonly Tensor[], unknown>;

/** An operand of an op: numbers become scalar tensors. */
export type Operand = Tensor | number;

type Operands<Inputs extends readonly Tensor[]> = { [Index in keyof Inputs]: Operand };
type AttributesArgument<Attributes> = undefined extends Attributes
  ? [attributes?: Attributes]
  : [attributes: Attributes];

/** An op as a function of its inputs (one list, if their number may vary), then its attributes. */
export interface Op<Inputs extends readonly Tensor[], Attributes> {
  (
    ...args: number extends Inputs['length']
      ? [inputs: readonly Operand[], ...AttributesArgument<Attributes>]
      : [...Operands<Inputs>, ...AttributesArgument<Attributes>]
  ): Tensor;
  readonly definition: OpDefinition<Inputs, Attributes>;
}

const registry = new Map<string, AnyOp>();

/** All ops that were defined, by name. */
export function registeredOps(): ReadonlyMap<string, AnyOp> {
  return registry;
}

/**
 * Declares an op and gives it as a function.
 *
 *     const cube = defineOp<[Tensor], undefined>({
 *       name: 'cube',
 *       inputs: ['x'],
 *       forward: ([x]) => x.mul(x).mul(x),
 *       gradient: [({ inputs: [x] }, g) => g.mul(x.mul(x)).mul(3)],
 *       samples: (draw) => [{ inputs: [draw.normal([3])], attributes: undefined }],
 *     });
 *     cube(x).sum().backward();
 *
 * `forward` runs unrecorded. Throws if an op of that name exists.
 */
export function defineOp<Inputs extends readonly Tensor[], Attributes = undefined>(
  definition: OpDefinition<Inputs, Attributes>,
): Op<Inputs, Attributes> {
  const { name, inputs } = definition;
  if (registry.has(name)) throw new Error(`defineOp: an op named ${name} exists already. Choose another name.`);
  for (const [field, rules] of [
    ['gradient', definition.gradient],
    ['raw', definition.raw],
  ] as const)
    if (Array.isArray(rules) && rules.length !== inputs.length)
      throw new Error(
        `defineOp: ${name} has ${inputs.length} inputs (${inputs.join(', ')}) and ${rules.length} entries in ${field}: one for ` +
          'each input, or one function for all.',
      );
  const op = definition as unknown as AnyOp;
  registry.set(name, op);
  const count = inputs.length;
  // One function for each number of inputs: no rest arguments where millions of small ops pass.
  let call: (a: unknown, b: unknown, c: unknown, d: unknown) => Tensor;
  if (inputs.some((input) => input.startsWith('...') || input.endsWith('?')))
    call = (list, attributes) => {
      // The graph keeps a list of its own: the caller may go on changing theirs.
      const operands = (list as readonly unknown[]).slice();
      for (let i = 0; i < operands.length; i++) operands[i] = asTensor(name, operands[i]);
      return apply(op, operands as Tensor[], attributes);
    };
  else if (count === 1) call = (a, attributes) => apply(op, [asTensor(name, a)], attributes);
  else if (count === 2) call = (a, b, attributes) => apply(op, [asTensor(name, a), asTensor(name, b)], attributes);
  else if (count === 3)
    call = (a, b, c, attributes) => apply(op, [asTensor(name, a), asTensor(name, b), asTensor(name, c)], attributes);
  else throw new Error(`defineOp: ${name} has ${count} inputs; ops have one to three, or a list ('...name').`);
  return Object.assign(call as unknown as Op<Inputs, Attributes>, { definition });
}

/** Runs an op on its inputs, and records it if a derivative may be asked for. */
export function apply(op: AnyOp, inputs: readonly Tensor[], attributes: unknown): Tensor {
  let node: Node | null = null;
  if (mode.recording)
    for (let i = 0; i < inputs.length; i++)
      if (inputs[i]!.node !== null) {
        if (!('because' in op.gradient)) node = record(op, inputs, attributes, inputs[i]!);
        break;
      }
  const before = mode.recording;
  mode.recording = false;
  let output: Tensor;
  try {
    output = op.forward(inputs, attributes, node);
  } finally {
    mode.recording = before;
  }
  if (node !== null) {
    if (output.node !== null)
      throw new Error(
        `${op.name}: its forward returned a tensor that has a history of its own (an input, say). An op returns a new tensor: ` +
          'clone() what it was given.',
      );
    node.output = output;
    output.node = node;
    node.versions = versionsRead(node);
  }
  settle();
  if (mode.watch !== null) mode.watch(inputs, output);
  if (mode.anomaly) {
    // What a rule computes on its way is the rule's affair: the walk checks what it sends.
    const trace = mode.within ?? whereCalled();
    if (node !== null) node.trace = trace;
    if (mode.within === null) checkFinite(op.name, inputs, output, trace);
  }
  return output;
}

/** The version counts of what the rule of a node will read: a rule that is no gradient may read all. */
export function versionsRead({ op, inputs, output, rule }: Node): number {
  const reads = rule === null ? (op?.reads ?? 'all') : 'all';
  let sum = 0;
  if (reads === 'inputs' || reads === 'all')
    for (let i = 0; i < inputs.length; i++) sum += inputs[i]!.storage.root.version;
  if (reads === 'output' || reads === 'all') sum += output.storage.root.version;
  return sum;
}
