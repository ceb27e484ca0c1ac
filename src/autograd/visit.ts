/**
 * One node's answer to its messages: by its op's gradient rule, or by the rule that stands in its place.
 */
import { settle } from '../storage/context.ts';
import { address, allocateShape, contiguous, wroteTo } from '../tensor/access.ts';
import { constant, full } from '../tensor/create.ts';
import { sameShape, showShape } from '../tensor/layout.ts';
import { checkTensor, kindOf, numbersOf, Tensor } from '../tensor/tensor.ts';
import { checkFinite } from './anomaly.ts';
import { arithmetic } from './arithmetic.ts';
import { type AnyOp, versionsRead } from './define.ts';
import { adjoint, feasible } from './feasible.ts';
import { throughHooks } from './hooks.ts';
import { receive, receiveGradient, slopeToAddTo } from './inbox.ts';
import {
  asGradient,
  asStep,
  energyOfPart,
  type Hard,
  Message,
  Springs,
  slope,
  writesTo,
  wroteInPlace,
} from './message.ts';
import { mode, withRecording } from './modes.ts';
import type { Node } from './node.ts';
import { dataInputs, type NodeRule, type Rule, type Sent } from './rule.ts';
import type { Walk } from './walk.ts';

/** An op and its shapes, for errors. */
export function describe({ op, inputs, output }: Node): string {
  if (op === null) return `the leaf of shape ${showShape(output.shape)}`;
  return `${op.name} (${inputs.map((input) => showShape(input.shape)).join(', ')} to ${showShape(output.shape)})`;
}

/** One input of a visited node, as its rule sees it. */
export class Port {
  readonly value: Tensor;
  /** Whether a message to it would reach anybody. */
  readonly wanted: boolean;
  /** Whether it is what a layer learns (a weight, a bias), not data. */
  readonly learned: boolean;
  readonly #settled: ((stiffness: number) => Tensor) | null;

  constructor(value: Tensor, wanted: boolean, learned: boolean, settled: ((stiffness: number) => Tensor) | null) {
    this.value = value;
    this.wanted = wanted;
    this.learned = learned;
    this.#settled = settled;
  }

  /** The producible value nearest to a wished-for one: see `feasible`. */
  feasible(wished: Tensor): Tensor {
    return given(() => feasible(this.value, wished).value);
  }

  /**
   * Where all its consumers together want it, made feasible (target propagation's x''). Only in `learn`: before, not all have
   * spoken.
   */
  settled(stiffness = 0): Tensor {
    const settled = this.#settled;
    if (settled === null)
      throw new Error(
        'settled: a value settles when all its consumers have spoken; read it in learn, not in propagate.',
      );
    return given(() => settled(stiffness));
  }
}

/** What is computed for a rule, from what it may not read itself: who watches its ops hears of the result alone. */
export function given(compute: () => Tensor): Tensor {
  const { watch } = mode;
  if (watch === null) return compute();
  mode.watch = null;
  try {
    const value = compute();
    watch([], value);
    return value;
  } finally {
    mode.watch = watch;
  }
}

/** What a rule sees of the node it answers for. */
export class Visit {
  readonly node: Node;
  readonly inputs: readonly Port[];
  /** The sum of what the consumers sent, in the form that the rule accepts. */
  readonly message: Message;
  readonly #walk: Walk;

  constructor(node: Node, message: Message, walk: Walk, learning: boolean) {
    this.node = node;
    this.message = message;
    this.#walk = walk;
    const data = dataInputs(node.op!, node.inputs.length);
    this.inputs = node.inputs.map((value, i) => {
      const settled = learning && i < data ? (stiffness: number) => settledValue(value, stiffness, walk) : null;
      return new Port(value, value.node?.wantedBy === walk.id, i >= data, settled);
    });
  }

  /** The name of the op. */
  get op(): string {
    return this.node.op!.name;
  }

  get attributes(): unknown {
    return this.node.attributes;
  }

  get output(): Tensor {
    return this.node.output;
  }

  /** The message as a gradient of the output. */
  get gradient(): Tensor {
    return asGradient(this.message, describe(this.node))!;
  }

  /** The message as a target: how far the output is asked to move. */
  get displacement(): Tensor {
    return asStep(this.message, 0)!;
  }

  /** How firmly: a scalar, or what broadcasts to the output. */
  get precision(): Tensor {
    return this.message.precision();
  }

  /** 1 / step size, where a gradient has to be read as a target. */
  get stiffness(): number {
    return (this.node.rule as NodeRule | null)?.stiffness ?? this.#walk.stiffness;
  }

  /** What the op's own gradient rule sends to an input, given the gradient g of the output. */
  gradientFor(index: number, g: Tensor): Tensor | null {
    return ownGradient(this.node, g, index);
  }

  /** A value that was broadcast to all rules under this name: backward(loss, { broadcast: { error: errorAt(logits) } }). */
  broadcast(name: string): Tensor {
    return given(() => {
      const value = this.#walk.broadcast(name, describe(this.node));
      checkTensor(`the broadcast '${name}'`, value);
      return value;
    });
  }
}

/** A value where its messages want it; without messages, where it is. */
function settledValue(value: Tensor, stiffness: number, walk: Walk): Tensor {
  const message = value.node === null ? null : (walk.sealed?.get(value.node) ?? null);
  const step = message && asStep(message, stiffness);
  // What an op produced is producible: without a wish there is nothing to project.
  return step === null ? value : feasible(value, arithmetic.add(value, step)).value;
}

function ownGradient(node: Node, g: Tensor, index: number): Tensor | null {
  const { gradient } = node.op!;
  if ('because' in gradient) return null;
  return (typeof gradient === 'function' ? gradient : gradient[index]!)(node, g, index);
}

/** The rule in force at a node; null: its op's gradient rule. */
export const ruleAt = (node: Node, walk: Walk): Rule | null => (walk.plain ? null : node.rule);

/** Everything that is not plain backpropagation: a rule, a hook, springs, somebody who looks on. */
export function needsCare(node: Node, walk: Walk): boolean {
  return node.hooks !== null || node.springs !== null || (node.rule !== null && !walk.plain) || walk.watched;
}

/** Lets the op's gradient rule send what is due for the gradient g of the output. */
export function sendGradients(node: Node, g: Tensor, walk: Walk): void {
  const op = node.op!;
  if (versionsRead(node) !== node.versions) throw new Error(overwritten(op, node));
  if (walk.exact && op.surrogate) throw new Error(surrogateRefused(node, op.name));
  if (mode.anomaly) mode.within = node.trace ?? 'an unknown place';
  const { inputs } = node;
  const watched = node.hooks !== null || walk.observer !== null;
  for (let i = 0; i < inputs.length; i++) {
    const target = inputs[i]!.node;
    if (target === null || target.wantedBy !== walk.id) continue;
    if (watched) {
      sendOne(node, g, i, walk);
      continue;
    }
    const raw = mode.recording ? null : rawFor(op, i);
    if (raw !== null) {
      const dense = contiguous(g);
      const adds = target.slope === null ? 0 : 1;
      const sum = slopeToAddTo(target, inputs[i]!.layout.shape);
      raw(node, dense, address(sum), adds, i);
      if (adds === 1) wroteTo(sum);
      settle();
    } else {
      const message = ownGradient(node, g, i);
      if (message === null) continue;
      if (!sameShape(message.shape, inputs[i]!.shape)) throw new Error(wrongShape(node, i, message.shape));
      receiveGradient(target, message);
    }
    if (mode.within !== null && target.slope !== null)
      checkFinite(`the gradient of ${op.name}`, [g, ...inputs], target.slope, mode.within);
  }
}

/** The gradient of one input as a message of its own, for those who look at it on the way. */
function sendOne(node: Node, g: Tensor, i: number, walk: Walk): void {
  const raw = mode.recording ? null : rawFor(node.op!, i);
  let message: Tensor | null;
  if (raw === null) {
    walk.observer?.begins([node], [slope(g)]);
    try {
      message = ownGradient(node, g, i);
    } finally {
      walk.observer?.ends();
    }
  } else {
    message = allocateShape(node.inputs[i]!.shape);
    raw(node, contiguous(g), address(message), 0, i);
    settle();
  }
  deliver(node, i, message && slope(message), walk);
}

/** Checks a message, passes it through the hooks of its edge, and puts it into the inbox of the input. */
export function deliver(node: Node, i: number, message: Message | null, walk: Walk): void {
  const input = node.inputs[i]!;
  if (message !== null && !sameShape(message.shape, input.shape)) throw new Error(wrongShape(node, i, message.shape));
  const hooks = node.hooks?.edges.get(i);
  const passed = message && hooks ? throughHooks(hooks, message, `onEdge of ${describe(node)}`) : message;
  const target = input.node as Node | null;
  const reaches = target !== null && target.wantedBy === walk.id;
  walk.observer?.sent(node, i, passed, reaches);
  if (passed === null || !reaches) return;
  receive(target, passed);
  if (mode.within !== null && passed.slope !== null)
    checkFinite(`the message of ${node.op!.name}`, node.inputs, passed.slope, mode.within);
}

/** Seals the inbox of a value: takes what came, and lets the hooks of the value see it. Null: nothing came. */
export function seal(node: Node): Message | null {
  const { slope: g, springs } = node;
  if (g === null && springs === null) return null;
  const message = new Message(g, springs);
  const hooks = node.hooks?.value ?? [];
  // Those of a leaf wait for the end of the walk: unstash.
  if (hooks.length === 0 || node.op === null) return message;
  const passed = throughHooks(hooks, message, `onValue of ${describe(node)}`);
  node.slope = passed?.slope ?? null;
  node.ownsSlope = node.ownsSlope && node.slope === g;
  node.springs = passed?.springs ?? null;
  return passed;
}

/** The first part of a node's answer: to all its inputs, or to the data inputs, if its rule has a part that learns. */
export function propagate(node: Node, message: Message, walk: Walk): void {
  const rule = ruleAt(node, walk) as NodeRule | null;
  if (mode.anomaly) mode.within = node.trace ?? 'an unknown place';
  walk.capture(node, message);
  walk.observer?.visited(node, message, rule);
  if (rule === null) {
    if (node.op!.carries && message.springs !== null) carry(node, message, walk);
    else sendGradients(node, asGradient(message, describe(node))!, walk);
    return;
  }
  if (versionsRead(node) !== node.versions) throw new Error(overwritten(node.op!, node));
  if (walk.exact && rule.surrogate) throw new Error(surrogateRefused(node, rule.name));
  send(node, rule, message, walk, false);
}

/** The second part: to what the layer learns. */
export function learn(node: Node, message: Message, walk: Walk): void {
  if (mode.anomaly) mode.within = node.trace ?? 'an unknown place';
  send(node, ruleAt(node, walk) as NodeRule, message, walk, true);
}

function send(node: Node, rule: NodeRule, message: Message, walk: Walk, learning: boolean): void {
  const visit = new Visit(node, accepted(node, rule, message, walk), walk, learning);
  walk.observer?.begins([node], [visit.message]);
  const before = writesTo(visit.message);
  let sent: Sent;
  try {
    sent = learning ? rule.learn!(visit) : rule.propagate(visit);
  } finally {
    walk.observer?.ends();
  }
  if (writesTo(visit.message) !== before) throw new Error(wroteInPlace(`${rule.name}: at ${describe(node)} the rule`));
  const { inputs } = node;
  if (!Array.isArray(sent) || sent.length !== inputs.length)
    throw new Error(
      `${rule.name}: at ${describe(node)} the rule returned ${Array.isArray(sent) ? `${sent.length} messages` : `${whatIs(sent)}, not a list`}; the op ` +
        `has ${counted(inputs.length, 'input')} (${node.op!.inputs.join(', ')}): a message or null for each, in their order.`,
    );
  const data = rule.learn === undefined ? inputs.length : dataInputs(node.op!, inputs.length);
  for (const [i, one] of (sent as Sent).entries()) {
    if (one === null) continue;
    if (!(one instanceof Message))
      throw new Error(
        `${rule.name}: at ${describe(node)} the rule sent ${whatIs(one)} to input ${i}; messages are made by slope and spring, and null ` +
          'is nothing.',
      );
    if (learning === i < data)
      throw new Error(
        `${rule.name}: at ${describe(node)} ${learning ? 'learn' : 'propagate'} sent to input ${i}, which is ` +
          `${learning ? 'data: send to it in propagate' : 'learned: this rule has a learn part, send to it there'}.`,
      );
    deliver(node, i, one, walk);
  }
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** What a rule gave instead of messages, for errors. */
function whatIs(given: unknown): string {
  return given instanceof Message ? 'a message' : given instanceof Tensor ? 'a tensor' : kindOf(given);
}

/** The message in the form that the rule accepts. */
function accepted(node: Node, rule: NodeRule, message: Message, walk: Walk): Message {
  if (rule.accepts === 'gradient')
    return message.springs === null ? message : slope(asGradient(message, `${rule.name} at ${describe(node)}`)!);
  if (rule.accepts === 'any') return message;
  const stiffness = rule.stiffness ?? walk.stiffness;
  const { slope: g, springs } = message;
  if (g === null && stiffness === 0) return message;
  // p' = rho + p and p' d' = r - g: nothing is lost. asStep says so where no step is the right one.
  asStep(message, stiffness, `${rule.name} at ${describe(node)}`);
  const pull = g === null ? springs!.pull : springs === null ? arithmetic.neg(g) : arithmetic.sub(springs.pull, g);
  const { hard = null, stated = true, energy = 0 } = springs ?? {};
  return new Message(null, new Springs(message.precision(stiffness), pull, hard, stated, energy));
}

/** An op that only moves numbers moves g, p and r alike; repeated elements sum them. */
function carry(node: Node, message: Message, walk: Walk): void {
  const { slope: g, springs } = message as Message & { springs: Springs };
  if (versionsRead(node) !== node.versions) throw new Error(overwritten(node.op!, node));
  for (const [i, input] of node.inputs.entries()) {
    if (input.node === null || input.node.wantedBy !== walk.id) continue;
    const copies = adjoint(node, full(node.output.shape, 1), i);
    const { precision } = springs;
    const p = precision.ndim > 0 ? adjoint(node, arithmetic.expand(precision, node.output.shape), i) : null;
    // One number stays one where nothing is repeated or left out.
    const uniform = p === null && numbersOf(copies).every((x) => x === 1);
    const carried = new Springs(
      p ?? (uniform ? precision : arithmetic.mul(copies, precision)),
      adjoint(node, springs.pull, i),
      springs.hard && carryHard(node, springs.hard, i),
      springs.stated,
      energyOfPart(springs, (energies) => adjoint(node, energies, i)),
    );
    deliver(node, i, new Message(g && adjoint(node, g, i), carried), walk);
  }
}

/** Copies of one element must agree on where it is to be; it goes there. */
function carryHard(node: Node, { mask, displacement, from }: Hard, i: number): Hard {
  const { where, add, sub, div, eq } = arithmetic;
  const none = constant(0);
  const count = adjoint(node, mask, i);
  const unasked = eq(count, none);
  const mean = div(adjoint(node, where(mask, displacement, none), i), add(count, unasked));
  const back = (x: Tensor): Float32Array | Float64Array =>
    withRecording(false, () => {
      const inputs = node.inputs.map((input, k) => (k === i ? x : input));
      return numbersOf(node.op!.forward(inputs, node.attributes, null));
    });
  // Moved on to the output again, the mean is what each copy was asked; what does not move with it is no copy.
  const [given, moved, hard, asked] = [
    back(mean),
    back(add(mean, constant(1))),
    numbersOf(mask),
    numbersOf(displacement),
  ];
  for (let k = 0; k < asked.length; k++)
    if (hard[k] !== 0 && given[k] !== moved[k] && Math.abs(given[k]! - asked[k]!) > 1e-5 * Math.abs(asked[k]!))
      throw new Error(
        `target: ${from} sends hard targets that differ to copies of one element (entry ${k} of the output of ${describe(node)}). ` +
          'Give them a finite precision.',
      );
  return { mask: sub(constant(1), unasked), displacement: mean, from };
}

function rawFor(op: AnyOp, index: number) {
  const { raw } = op;
  if (raw === undefined) return null;
  return typeof raw === 'function' ? raw : raw[index]!;
}

function overwritten(op: AnyOp, node: Node): string {
  return (
    `backward: a value that ${op.name} needs for its gradient was changed in place after ${op.name} read it (operands ` +
    `${node.inputs.map((input) => showShape(input.shape)).join(' and ')}). Call backward before the change (before ` +
    'optimizer.step(), say), or work on a copy: x.clone().'
  );
}

function wrongShape(node: Node, index: number, shape: readonly number[]): string {
  const { op, inputs, rule } = node;
  return (
    `backward: ${rule === null ? 'the gradient rule' : `the rule ${rule.name}`} of ${op!.name} sent shape ${showShape(shape)} to its ` +
    `input ${op!.inputs[index] ?? index}, which has shape ${showShape(inputs[index]!.shape)} (node: ${describe(node)}). A message has ` +
    'the shape of its input: sum over the axes that were broadcast.'
  );
}

export function surrogateRefused(node: Node, name: string): string {
  return (
    `${name} at ${describe(node)} is a surrogate: what it sends is not the derivative, so derivatives of it and checks against ` +
    'differences mean nothing. Say allowSurrogate: true if that is what you want.'
  );
}
