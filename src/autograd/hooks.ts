/**
 * Hooks: functions that see the messages of a walk, and may change them. Three points, because they are three things:
 *
 * - on an edge, before merging: each message that one op sends to one of its inputs;
 * - on a value, after merging: the sum of what its consumers sent, once a walk;
 * - on a parameter (any leaf), the same, before it is added to `.grad`.
 *
 * A hook that observes returns nothing; one that changes returns the message to put in the place, or null for none. It never
 * writes to the numbers of the message it was shown: others may look at them.
 */
import { sameShape, showShape } from '../tensor/layout.ts';
import { kindOf, Tensor } from '../tensor/tensor.ts';
import { Message, writesTo, wroteInPlace } from './message.ts';

/** Gets a message; returns another one in its place, null to send nothing, or nothing to leave it as it is. */
// biome-ignore lint/suspicious/noConfusingVoidType: a hook that only looks has no return statement
export type Hook = (message: Message) => Message | null | undefined | void;

export interface Hooks {
  readonly value: Hook[];
  /** By input. */
  readonly edges: Map<number, Hook[]>;
}

const none = (): Hooks => ({ value: [], edges: new Map() });

/**
 * Calls `hook` once a walk with the sum of the messages to a value; of a parameter, before they are added to `.grad`.
 *
 * @returns a function that removes the hook
 *
 *     const w = tensor([3, 4]).requiresGrad_();
 *     const remove = onValue(w, (message) => message.scale(0.1));
 *     w.sum().backward();
 *     w.grad!.toArray(); // about [0.1, 0.1]
 *     remove();
 */
export function onValue(value: Tensor, hook: Hook): () => void {
  checkHook('onValue', hook);
  if (value.node === null) throw new Error(noMessages('onValue', value));
  value.node.hooks ??= none();
  return added(value.node.hooks.value, hook);
}

/**
 * Calls `hook` with each message that the op which computed `output` sends to its input number `input`, before it is merged
 * with those of other consumers.
 *
 * @returns a function that removes the hook
 *
 *     const x = tensor([1, 2]).requiresGrad_();
 *     const y = mul(x, 3);
 *     onEdge(y, 0, (message) => console.log(message.gradient().toArray())); // prints [3, 3]
 *     y.sum().backward();
 */
export function onEdge(output: Tensor, input: number, hook: Hook): () => void {
  checkHook('onEdge', hook);
  const { node } = output;
  if (node === null) throw new Error(noMessages('onEdge', output));
  if (node.op === null)
    throw new Error('onEdge: this tensor is a leaf: it was computed by no op, and sends nothing. Use onValue.');
  if (!Number.isInteger(input) || input < 0 || input >= node.inputs.length)
    throw new Error(
      node.inputs.length === 1
        ? `onEdge: ${node.op.name} has one input, number 0; there is no number ${input}.`
        : `onEdge: ${node.op.name} has ${node.inputs.length} inputs; number ${input} is none of 0 to ${node.inputs.length - 1}.`,
    );
  node.hooks ??= none();
  const { edges } = node.hooks;
  if (!edges.has(input)) edges.set(input, []);
  return added(edges.get(input)!, hook);
}

function checkHook(who: string, hook: Hook): void {
  if (typeof hook !== 'function')
    throw new Error(`${who}: a hook is a function of a message, not ${kindOf(hook)}. Pass (message) => ...`);
}

const noMessages = (op: string, { shape }: Tensor): string =>
  `${op}: no message reaches a tensor of shape ${showShape(shape)} without history. Call requiresGrad_() on it, or on what it is ` +
  'computed from, first.';

function added(list: Hook[], hook: Hook): () => void {
  // Under a name of its own: the same function may be added twice, and removed once.
  const own: Hook = (message) => hook(message);
  list.push(own);
  return () => {
    const at = list.indexOf(own);
    if (at >= 0) list.splice(at, 1);
  };
}

/** What remains of a message after the hooks; null: nothing. */
export function throughHooks(hooks: readonly Hook[], message: Message, where: string): Message | null {
  let current = message;
  // A copy of the list: a hook may remove itself.
  for (const hook of hooks.slice()) {
    const before = writesTo(current);
    const answer = hook(current);
    if (writesTo(current) !== before) throw new Error(wroteInPlace(`${where}: a hook`));
    if (answer === undefined) continue;
    if (answer === null) return null;
    if (!(answer instanceof Message))
      throw new Error(
        `${where}: a hook returns a message (made by slope, spring or scale), null to send nothing, or nothing; not ` +
          `${(answer as unknown) instanceof Tensor ? 'a tensor: slope(tensor) makes a message of it' : kindOf(answer)}.`,
      );
    if (!sameShape(answer.shape, message.shape))
      throw new Error(
        `${where}: a hook returned a message of shape ${showShape(answer.shape)} for a value of shape ${showShape(message.shape)}. ` +
          'A message has the shape of its value.',
      );
    current = answer;
  }
  return current;
}
