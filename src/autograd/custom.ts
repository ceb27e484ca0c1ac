/**
 * A gradient of one's own, for a function and not for the library: what one writes for a single model, in one place.
 *
 * `customGradient` makes an op definition that is in no registry and calls it through the same door as every op
 * (define.ts), so rules, hooks, checks and transforms see it as they see any other. What its forward saves belongs to the
 * call, is found by the output, and goes when the node goes.
 *
 * Invariants: a saved input or output keeps its history, and a saved value in between gets one when derivatives of
 * derivatives are asked for (forward runs again, recorded), so nothing that was saved is silently taken for a constant.
 */
import { currentRegion } from '../storage/context.ts';
import type { Dependent } from '../storage/region.ts';
import { asTensor } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { kindOf, numbersOf, Tensor } from '../tensor/tensor.ts';
import { type AnyOp, apply, type Operand, type Recorded, registeredOps } from './define.ts';
import { mode, withRecording } from './modes.ts';
import { Node } from './node.ts';

/** What the gradient of a customGradient sees of a call. */
export interface CustomCall<Inputs extends readonly Tensor[] = readonly Tensor[]> {
  readonly inputs: Inputs;
  readonly output: Tensor;
  /** What forward saved, in the order of saving. */
  readonly saved: readonly Tensor[];
}

export interface CustomGradient<Inputs extends readonly Tensor[] = readonly Tensor[]> {
  /** For errors and audits; not the name of a registered op. */
  readonly name: string;
  /** Whether `gradient` is something else than the derivative of `forward`, on purpose. There is no default: say it. */
  readonly surrogate: boolean;
  /** What `gradient` reads besides g and what was saved; writing it in place before backward is an error. Default: 'all'. */
  readonly reads?: 'nothing' | 'inputs' | 'output' | 'all';
  /** Computes the output, unrecorded: a new tensor (or a view), never an input itself. */
  forward(inputs: Inputs, save: (...tensors: Tensor[]) => void): Tensor;
  /**
   * For each input what it is sent, of the input's shape, or null for nothing; with one input the tensor alone. Written in
   * tensor ops it can be differentiated itself.
   */
  gradient(call: CustomCall<Inputs>, g: Tensor): Tensor | null | readonly (Tensor | null)[];
}

type Operands<Inputs extends readonly Tensor[]> = { [Index in keyof Inputs]: Operand };

/** What one call saved, and its answer while the walk asks for one input after the other. */
class Kept implements Dependent {
  saved: readonly Tensor[];
  readonly version: number;
  answer: Answer | null = null;

  constructor(saved: readonly Tensor[]) {
    this.saved = saved;
    this.version = versionOf(saved);
  }

  regionGoes(): void {
    this.saved = [];
    this.answer = null;
  }
}

interface Answer {
  readonly walk: number;
  readonly g: Tensor;
  readonly sent: readonly (Tensor | null)[];
}

/** Counts of in-place writes: they only rise, so the sum tells of any. */
const versionOf = (tensors: readonly Tensor[]): number =>
  tensors.reduce((sum, { storage }) => sum + storage.root.version, 0);

/**
 * A function of tensors with a gradient of your own.
 *
 *     const logistic = customGradient({
 *       name: 'logistic',
 *       surrogate: false,
 *       forward: ([x], save) => {
 *         const y = sigmoid(x);
 *         save(y);
 *         return y;
 *       },
 *       gradient: ({ saved: [y] }, g) => g.mul(y.mul(sub(1, y))),
 *     });
 *     const at = tensor([0, 0]).requiresGrad_();
 *     logistic(at).sum().backward();
 *     at.grad.toArray(); // [0.25, 0.25]
 *
 * With several inputs, `customGradient<[Tensor, Tensor]>({ ... })`, the gradient returns a list. Numbers among the operands
 * become scalar tensors. An operand that was broadcast gets a gradient of its own shape: sum over the axes that were added.
 *
 * checkGradients accepts it where `surrogate` is false; where it is true, checks and derivatives of derivatives refuse it
 * unless they are told allowSurrogate. Forward may run a second time when derivatives of derivatives are asked for and it
 * saved something in between: let it depend on its inputs alone (draw random numbers outside, and pass them in).
 */
export function customGradient(definition: CustomGradient<[Tensor]>): (x: Operand) => Tensor;
export function customGradient<Inputs extends readonly Tensor[]>(
  definition: CustomGradient<Inputs>,
): (...operands: Operands<Inputs>) => Tensor;
export function customGradient(given: CustomGradient): (...operands: Operand[]) => Tensor {
  const { name } = given;
  checkDefinition(given);
  /** By output: a call, or another evaluation of it, each has its own. */
  const kept = new WeakMap<Tensor, Kept>();
  const op: AnyOp = {
    name,
    inputs: ['...inputs'],
    surrogate: given.surrogate,
    reads: given.reads ?? 'all',
    samples: () => [],
    forward(inputs, _attributes, node) {
      const saved: Tensor[] = [];
      const result = given.forward(inputs, node === null ? ignore : saving(name, saved));
      checkOutput(name, inputs, result);
      // A tensor of its own: what forward returns may be one that somebody else holds, and must not get a history.
      const output = new Tensor(result.storage, result.layout, result.offset);
      if (node !== null) {
        const own = new Kept(saved.map((one) => (one === result ? output : one)));
        kept.set(output, own);
        currentRegion().addNode(own);
      }
      return output;
    },
    gradient: (call, g, index) => answer(given, kept.get(call.output)!, call, g, index),
  };
  return (...operands) => {
    if (operands.length === 0) throw new Error(`${name}: it was called without operands. Pass at least one tensor.`);
    return apply(
      op,
      operands.map((operand) => asTensor(name, operand)),
      undefined,
    );
  };
}

const ignore = (): void => undefined;

const saving =
  (name: string, into: Tensor[]) =>
  (...tensors: Tensor[]): void => {
    for (const one of tensors) {
      if (!(one instanceof Tensor))
        throw new Error(`${name}: save takes tensors, not ${kindOf(one)}. Keep other values in a variable of forward.`);
      into.push(one);
    }
  };

function checkDefinition({ name, surrogate, forward, gradient }: CustomGradient): void {
  if (typeof name !== 'string' || name === '')
    throw new Error("customGradient: give it a name, { name: 'clipped square', ... }: errors and audits show it.");
  if (registeredOps().has(name))
    throw new Error(
      `customGradient: an op named ${name} exists already, and rules find ops by name. Choose another name.`,
    );
  if (typeof surrogate !== 'boolean')
    throw new Error(
      `customGradient: ${name} does not say whether its gradient is the derivative of its forward. Write surrogate: false if it is, ` +
        'surrogate: true if it is something else on purpose.',
    );
  if (typeof forward !== 'function' || typeof gradient !== 'function')
    throw new Error(`customGradient: ${name} needs two functions, forward(inputs, save) and gradient(call, g).`);
}

function checkOutput(name: string, inputs: readonly Tensor[], output: unknown): asserts output is Tensor {
  if (!(output instanceof Tensor))
    throw new Error(`${name}: its forward returned ${kindOf(output)}. It returns one tensor, the output.`);
  const index = inputs.indexOf(output);
  if (index >= 0)
    throw new Error(
      `${name}: its forward returned its input ${index}, of shape ${showShape(output.shape)}. The output is a value of its own: return ` +
        'a copy, x.clone(), or a view, x.reshape(x.shape).',
    );
  if (output.node !== null)
    throw new Error(
      `${name}: its forward returned a tensor of shape ${showShape(output.shape)} with a history of its own, which would be lost. ` +
        'Pass that tensor as an operand, or return a copy of it: clone().',
    );
}

/** What input number `index` is sent. The walk asks for one input after the other; the gradient is computed once. */
function answer(
  definition: CustomGradient,
  kept: Kept,
  call: Recorded<readonly Tensor[], unknown>,
  g: Tensor,
  index: number,
): Tensor | null {
  const node = call instanceof Node ? call : null;
  const before = kept.answer;
  let sent: readonly (Tensor | null)[];
  if (before !== null && before.walk === node?.reachedBy && before.g === g) sent = before.sent;
  else {
    const { inputs, output } = call;
    const saved = savedOf(definition, kept, call);
    sent = checkedAnswer(definition.name, inputs, definition.gradient({ inputs, output, saved }, g));
  }
  // The last one to be asked for leaves nothing behind.
  const more = node?.inputs.some((input, i) => i > index && input.node?.wantedBy === node.reachedBy) ?? false;
  kept.answer = node !== null && more ? { walk: node.reachedBy, g, sent } : null;
  return sent[index]!;
}

function checkedAnswer(name: string, inputs: readonly Tensor[], given: unknown): readonly (Tensor | null)[] {
  const sent: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (sent.length !== inputs.length)
    throw new Error(
      `${name}: its gradient returned ${sent.length === 1 ? 'one entry' : `${sent.length} entries`} for ` +
        `${inputs.length === 1 ? 'one input' : `${inputs.length} inputs`} (${inputs.map(({ shape }) => showShape(shape)).join(', ')}). Return a list ` +
        'with a tensor or null for each, in their order.',
    );
  for (const [i, one] of sent.entries()) {
    if (one === null) continue;
    if (!(one instanceof Tensor))
      throw new Error(
        `${name}: its gradient returned ${kindOf(one)} for input ${i}. Return a tensor, or null for nothing.`,
      );
    const { shape, node } = inputs[i]!;
    // Of an input without history (a number among the operands) nobody hears.
    if (node !== null && !sameShape(one.shape, shape))
      throw new Error(
        `${name}: its gradient returned shape ${showShape(one.shape)} for input ${i}, which has shape ${showShape(shape)}. A gradient ` +
          'has the shape of its input: sum over the axes that were broadcast.',
      );
  }
  return sent as readonly (Tensor | null)[];
}

/** What forward saved, good for this walk and, where the walk is recorded, with its history. */
function savedOf(
  definition: CustomGradient,
  kept: Kept,
  call: Recorded<readonly Tensor[], unknown>,
): readonly Tensor[] {
  const { saved } = kept;
  if (versionOf(saved) !== kept.version)
    throw new Error(
      `${definition.name}: a tensor that its forward saved was changed in place since. Call backward before the change, or save a ` +
        'copy: save(x.clone()).',
    );
  // A walk keeps what it read; it knows inputs and outputs, and these it does not.
  if (call instanceof Node) for (const { storage } of saved) storage.region.touchedBy = call.region.touchedBy;
  const { inputs, output } = call;
  if (!mode.recording || saved.every((one) => one === output || inputs.includes(one))) return saved;
  const again: Tensor[] = [];
  const result = withRecording(true, () => definition.forward(inputs, saving(definition.name, again)));
  if (again.length !== saved.length || again.some((one, i) => !sameNumbers(one, saved[i]!)))
    throw new Error(
      `${definition.name}: its forward saved other values when it ran a second time, for derivatives of derivatives. Let it depend on ` +
        'its inputs alone: draw random numbers outside, and pass them as an operand.',
    );
  return again.map((one) => (one === result ? output : one));
}

function sameNumbers(a: Tensor, b: Tensor): boolean {
  if (!sameShape(a.shape, b.shape)) return false;
  const [x, y] = [numbersOf(a), numbersOf(b)];
  return x.every((number, i) => Object.is(number, y[i]));
}
