/** What one backward walk knows: its number, what was asked for, and what has been said so far. */
import type { Tensor } from '../tensor/tensor.ts';
import { asGradient, type Message } from './message.ts';
import type { Node } from './node.ts';
import type { Rule } from './rule.ts';

/** Looks at a walk: what was visited, and what was sent. */
export interface Observer {
  visited(node: Node, message: Message, rule: Rule | null): void;
  sent(node: Node, index: number, message: Message | null, reaches: boolean): void;
  /** Around the call of a rule, with the messages that it is told: of one node, or of all nodes of a block. */
  begins(nodes: readonly Node[], messages: readonly Message[]): void;
  ends(): void;
  /** The rule that was called reads a broadcast. */
  broadcast(name: string, value: Tensor): void;
}

/** Stands for the gradient that will arrive at a value in the walk: the error that direct feedback alignment broadcasts. */
export class ErrorAt {
  readonly value: Tensor;

  constructor(value: Tensor) {
    this.value = value;
  }
}

export interface WalkOptions {
  /** Records the messages, so that they can be differentiated in turn. */
  readonly createGraph?: boolean | undefined;
  /** Lets surrogates through where derivatives are recorded. */
  readonly allowSurrogate?: boolean | undefined;
  /** Values that every rule can read, by name. */
  readonly broadcast?: { readonly [name: string]: Tensor | ErrorAt } | undefined;
  /** Stiffness of values, 1 / step size, where a rule needs a target and a gradient came. Default 0: an error. */
  readonly stiffness?: number | undefined;
  /** false: the gradient rule everywhere, whatever rules the nodes have. */
  readonly rules?: boolean | undefined;
  /** Whether springs keep their energy. */
  readonly energy?: boolean | undefined;
}

/** Small networks walk half a million times a second: what most walks do not need is null. */
export class Walk {
  readonly id: number;
  readonly plain: boolean;
  readonly exact: boolean;
  readonly stiffness: number;
  readonly observer: Observer | null;
  /** Whether somebody looks on at every node: an observer, or a rule that awaits the error at a value. */
  readonly watched: boolean;
  /** Whether the search met a node with a rule. */
  ruled = false;
  /** Inboxes of leaves whose messages of this walk alone matter (hooks), as they were before. */
  stashed: Stash[] | null = null;
  /** Sealed inboxes, for the rules that learn from settled values; null where no rule does. */
  sealed: Map<Node, Message | null> | null = null;
  readonly #broadcast: WalkOptions['broadcast'];
  readonly #captured: Map<Node, Message> | null;

  constructor(id: number, options: WalkOptions, exact: boolean, observer: Observer | null) {
    this.id = id;
    this.plain = options.rules === false;
    this.exact = exact;
    this.stiffness = options.stiffness ?? 0;
    this.observer = observer;
    this.#broadcast = options.broadcast;
    this.#captured = null;
    if (options.broadcast !== undefined && Object.values(options.broadcast).some((value) => value instanceof ErrorAt))
      this.#captured = new Map();
    this.watched = observer !== null || this.#captured !== null;
  }

  capture(node: Node, message: Message): void {
    this.#captured?.set(node, message);
  }

  broadcast(name: string, who: string): Tensor {
    const value = this.#broadcastValue(name, who);
    this.observer?.broadcast(name, value);
    return value;
  }

  #broadcastValue(name: string, who: string): Tensor {
    const value = this.#broadcast?.[name];
    if (value === undefined)
      throw new Error(
        `${who}: its rule reads the broadcast '${name}', which was not given. Say backward(loss, { broadcast: { ${name}: ... } }).`,
      );
    if (!(value instanceof ErrorAt)) return value;
    const message = value.value.node === null ? undefined : this.#captured?.get(value.value.node);
    if (message === undefined)
      throw new Error(
        `${who}: its rule reads the broadcast '${name}', the error at a value that no message has reached yet: it lies beside or below this ` +
          'node. Take a value nearer to the loss.',
      );
    return asGradient(message, `the broadcast '${name}'`)!;
  }
}

/** An inbox set aside. */
export interface Stash {
  readonly node: Node;
  readonly slope: Tensor | null;
  readonly ownsSlope: boolean;
  readonly springs: Message['springs'];
  readonly versions: number;
}
