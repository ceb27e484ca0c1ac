/**
 * Rules: what answers the messages that arrive at an op's output.
 *
 * An op carries its default, the gradient rule. Another rule takes its place for one node (`setRule`), for ops by name
 * within a scope (`withRules`), or for all that a module computes (`attachRules`); the innermost wins. A rule is handed its
 * node and the sum of the messages, and returns a message for each input. It may have a second part, `learn`, which runs
 * when the values that the node reads have settled (all their consumers have spoken), and sends to what a layer learns.
 * A rule that answers for many nodes at once (predictive coding) is a block rule: block.ts.
 */
import { kindOf, type Tensor } from '../tensor/tensor.ts';
import type { Block } from './block.ts';
import { type AnyOp, registeredOps, versionsRead } from './define.ts';
import { type Message, slope } from './message.ts';
import { mode } from './modes.ts';
import type { Visit } from './visit.ts';

/** What a rule returns: for each input of the node a message, or null for nothing. */
export type Sent = readonly (Message | null)[];

export interface NodeRule {
  readonly name: string;
  /** In which form it wants what arrived; 'any': as it came. Targets become gradients and gradients targets on the way in. */
  readonly accepts: 'gradient' | 'target' | 'any';
  /**
   * Whether what it sends is not the derivative of what it got. A rule is consistent (no surrogate) if what it sends, read
   * as gradients, is the gradient rule applied to what it received, read as a gradient.
   */
  readonly surrogate: boolean;
  /** How hard a value resists being moved where a gradient has to be read as a target: 1 / step size. */
  readonly stiffness?: number;
  /** Sends to the inputs; with `learn`, to the data inputs only. */
  propagate(visit: Visit): Sent;
  /** Sends to what the layer learns, once its data inputs have settled. */
  learn?(visit: Visit): Sent;
}

/** A rule for all nodes that carry it, answered at once. */
export interface BlockRule {
  readonly name: string;
  readonly surrogate: boolean;
  settle(block: Block): void;
}

export type Rule = NodeRule | BlockRule;

export const isBlockRule = (rule: Rule): rule is BlockRule => 'settle' in rule;

/** Rules by the name of the op; '*' is any op. null: the op's own gradient rule. */
export type Rules = { readonly [op: string]: Rule | null };
export type RuleScope = ReadonlyMap<string, Rule | null>;

export function ruleOf(scope: RuleScope, op: string): Rule | null {
  const own = scope.get(op);
  return own !== undefined ? own : (scope.get('*') ?? null);
}

/**
 * Runs `body`; the ops that it records answer by these rules. Scopes nest, and the inner one wins.
 *
 *     const guided = gradientRule('guided relu', ({ inputs: [x] }, g) => relu(g).mul(gt(x!.value, 0)), { surrogate: true });
 *     const y = withRules({ relu: guided }, () => model.forward(x));
 *
 * @param rules by the name of the op (`registeredOps()` lists them), '*' for any op that is not named; null puts an op's
 *   own gradient rule back
 */
export function withRules<Result>(rules: Rules, body: () => Result): Result {
  checkRules('withRules', rules);
  if (typeof body !== 'function')
    throw new Error(`withRules: the second argument is a function that computes something, not ${kindOf(body)}.`);
  const before = mode.rules;
  // '*' speaks of all ops, so it also outdoes what an outer scope says of one.
  const outer = '*' in rules ? [] : (before ?? []);
  mode.rules = new Map([...outer, ...Object.entries(rules)]);
  try {
    const result = body();
    if (result instanceof Promise)
      throw new Error('withRules: the callback returned a promise; rules hold while it runs. Make it synchronous.');
    return result;
  } finally {
    mode.rules = before;
  }
}

/**
 * Gives the node that computed `y` a rule of its own (null: the gradient rule), whatever scope it was made in. Returns y.
 */
export function setRule(y: Tensor, rule: Rule | null): Tensor {
  checkRule('setRule', rule);
  if (y.node === null || y.node.op === null)
    throw new Error('setRule: this tensor was not computed by a recorded op, so nothing answers at it.');
  if (versionsRead(y.node) !== y.node.versions)
    throw new Error(
      `setRule: a value that ${y.node.op.name} read was changed in place since. Set the rule before that.`,
    );
  y.node.rule = rule;
  y.node.versions = versionsRead(y.node);
  return y;
}

/** Anything that computes: a Module, say. */
interface Computes {
  forward(...inputs: never[]): unknown;
}

/** What stands behind a forward that rules were attached to: the module's own, and the scopes around it, inner ones last. */
const attachments = new WeakMap<
  Computes['forward'],
  { readonly base: Computes['forward']; readonly scopes: Rules[] }
>();

/**
 * From now on all that `module.forward` computes answers by these rules, whatever was attached to it earlier; modules
 * inside that have rules of their own keep them. Returns a function that takes the rules off again.
 *
 *     const trunk = new Sequential(new Linear(4, 8), new ReLU());
 *     const remove = attachRules(trunk, feedbackAlignment());
 */
export function attachRules(module: Computes, rules: Rules): () => void {
  // Now, not at the first forward pass.
  checkRules('attachRules', rules);
  const before = module.forward;
  if (typeof before !== 'function')
    throw new Error(
      'attachRules: rules are attached to what has a method forward, a Module; for one value use setRule.',
    );
  const owned = Object.hasOwn(module, 'forward');
  const { base, scopes } = attachments.get(before) ?? { base: before, scopes: [] };
  const all = [...scopes, rules];
  const forward = function (this: Computes, ...inputs: never[]) {
    const compute = () => base.apply(this, inputs);
    return all.reduceRight((inner, scope) => () => withRules(scope, inner), compute)();
  };
  attachments.set(forward, { base, scopes: all });
  // Not enumerable: parameters are found by walking over a module's properties.
  Object.defineProperty(module, 'forward', { value: forward, configurable: true, writable: true });
  let attached = true;
  return () => {
    if (!attached) return;
    if (module.forward !== forward)
      throw new Error('attachRules: other rules were attached to this module since. Take those off first.');
    if (owned) Object.defineProperty(module, 'forward', { value: before, configurable: true, writable: true });
    else Reflect.deleteProperty(module, 'forward');
    attached = false;
  };
}

function checkRules(who: string, rules: Rules): void {
  if (typeof rules !== 'object' || rules === null || typeof rules.propagate === 'function')
    throw new Error(`${who}: rules are a record by the name of the op, { linear: rule }, not ${aRule(rules)}.`);
  for (const [op, rule] of Object.entries(rules)) {
    if (op !== '*' && !registeredOps().has(op)) throw new Error(noSuchOp(who, op));
    checkRule(who, rule);
  }
}

const aRule = (given: unknown): string => (typeof given === 'object' && given !== null ? 'a rule' : kindOf(given));

function noSuchOp(who: string, op: string): string {
  if (op === 'rules')
    return `${who}: there is no op named rules. What was given holds its rules in that field: pass it, given.rules.`;
  return (
    `${who}: there is no op named ${op}. Names are those of docs/ops.md, such as linear, relu, conv2d; for what customGradient made, ` +
    'setRule.'
  );
}

function checkRule(who: string, rule: Rule | null): void {
  if (rule === null) return;
  const fits =
    typeof rule === 'object' &&
    ('settle' in rule ||
      (typeof rule.propagate === 'function' && ['gradient', 'target', 'any'].includes(rule.accepts)));
  if (!fits || typeof rule.name !== 'string' || typeof rule.surrogate !== 'boolean')
    throw new Error(
      `${who}: a rule is an object with name, surrogate (true or false), accepts ('gradient', 'target' or 'any') and propagate, or settle ` +
        'for a block; null is the gradient rule.',
    );
}

/**
 * A rule that only changes the gradient: `gradient` gets the node and the gradient of its output, and gives the gradient of
 * input number `index` (null: nothing). `visit.gradientFor(index, g)` is what the op itself would send.
 *
 *     const reversed = gradientRule('reversed', (visit, g, index) => visit.gradientFor(index, neg(g)), { surrogate: true });
 */
export function gradientRule(
  name: string,
  gradient: (visit: Visit, g: Tensor, index: number) => Tensor | null,
  { surrogate }: { readonly surrogate: boolean },
): NodeRule {
  return {
    name,
    accepts: 'gradient',
    surrogate,
    propagate(visit) {
      const g = visit.gradient;
      return visit.inputs.map((input, index) => {
        if (!input.wanted) return null;
        const message = gradient(visit, g, index);
        return message && slope(message);
      });
    },
  };
}

/** How many of an op's inputs, from the first, carry data. */
export const dataInputs = (op: AnyOp, count: number): number => Math.min(op.data ?? count, count);
