/**
 * Where the examples of a batch stay apart on their way through a graph, and where they share something.
 *
 * Of a value that N examples cut into N equal parts, in row-major order, part n belongs to example n if no other loss depends on
 * it. From the losses down: an op whose output is so has inputs that are so too (`apart`: rows of a linear layer's input), and
 * inputs that are shared (its weight). Ops say which (OpDefinition.perExample); of one that does not, it is found out by trying.
 */
import { Generator } from '../random/generator.ts';
import { tensor } from '../tensor/create.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';
import { adjoint } from './feasible.ts';
import type { Node } from './node.ts';

/** An input of an op that examples share, while they are apart in its output. */
export interface Use {
  readonly node: Node;
  readonly index: number;
}

/** How the losses depend on a parameter. */
export type Route =
  | { readonly kind: 'none' }
  /** Part n of it is example n's. */
  | { readonly kind: 'apart' }
  /** direct: where it is a shared input. computed: shared inputs were computed from it. */
  | { readonly kind: 'shared'; readonly direct: readonly Use[]; readonly computed: boolean }
  /** Only a walk for each example tells. */
  | { readonly kind: 'alone' };

export interface Plan {
  readonly who: string;
  readonly root: Tensor;
  readonly count: number;
  readonly parameters: readonly Tensor[];
  /** By parameter. */
  readonly routes: readonly Route[];
  /** All shared inputs from which a parameter is reached. */
  readonly uses: readonly Use[];
  /** The values whose cotangents are needed: outputs of the ops of `uses`, parameters that are apart. */
  readonly watched: readonly Tensor[];
  /**
   * Whether one walk serves all examples. Not where a value in which examples are apart is also reached through a shared input (the mean over
   * a batch): there the sum of all cotangents says nothing of each.
   */
  readonly together: boolean;
  /** Nodes that somebody has put hooks on. */
  readonly hooked: readonly Node[];
}

export function planOf(who: string, root: Tensor, count: number, parameters: readonly Tensor[]): Plan {
  const order = inputsFirst(root.node as Node);
  const targets = new Set(parameters.map(({ node }) => node as Node));
  const leading = new Set<Node>();
  for (const node of order)
    if (targets.has(node) || node.inputs.some((input) => leading.has(input.node as Node))) leading.add(node);
  order.reverse();

  const apart = new Set<Node>(leading.has(root.node as Node) ? [root.node as Node] : []);
  const uses: Use[] = [];
  for (const node of order) {
    if (!apart.has(node)) continue;
    for (const [index, { node: input }] of node.inputs.entries())
      if (leading.has(input as Node)) {
        if (isApart(node, index, count)) apart.add(input as Node);
        else uses.push({ node, index });
      }
  }

  const inputOf = ({ node, index }: Use): Node => node.inputs[index]!.node as Node;
  const shared = new Set(uses.map(inputOf));
  const computed = new Set<Node>();
  for (const node of order) {
    if (!shared.has(node)) continue;
    for (const { node: input } of node.inputs)
      if (leading.has(input as Node)) {
        shared.add(input as Node);
        computed.add(input as Node);
      }
    // A parameter that is itself computed hears of its use by the same walk as what it was computed from.
    if (node.op !== null) computed.add(node);
  }
  let together = true;
  for (const node of apart) if (shared.has(node)) together = false;

  const routes = parameters.map((parameter): Route => {
    const node = parameter.node as Node;
    if (!apart.has(node) && !shared.has(node)) return { kind: 'none' };
    if (!together) return { kind: 'alone' };
    if (apart.has(node)) return { kind: 'apart' };
    const direct = node.op === null ? uses.filter((use) => inputOf(use) === node) : [];
    return { kind: 'shared', direct, computed: computed.has(node) };
  });
  const watched = new Set(uses.map(({ node }) => node.output));
  for (const [i, { kind }] of routes.entries()) if (kind === 'apart') watched.add((parameters[i]!.node as Node).output);
  const hooked = order.filter(({ hooks }) => hooks !== null);
  return { who, root, count, parameters, routes, uses, watched: [...watched], together, hooked };
}

/** Every node that `root` was computed from, inputs first. */
function inputsFirst(root: Node): Node[] {
  const order: Node[] = [];
  const seen = new Set([root]);
  const stack = [{ node: root, next: 0 }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const input = top.node.inputs[top.next++];
    if (input === undefined) order.push(stack.pop()!.node);
    else if (input.node !== null && !seen.has(input.node)) {
      seen.add(input.node);
      stack.push({ node: input.node, next: 0 });
    }
  }
  return order;
}

/** Whether part n of this input reaches part n of the output, and no other. */
function isApart(node: Node, index: number, count: number): boolean {
  if (count === 1) return true;
  if (node.inputs[index]!.size % count !== 0) return false;
  const said = node.op!.perExample?.apart;
  return said === undefined ? isApartByTrial(node, index, count) : said(node, index, count);
}

/**
 * Asks the gradient rule. Two examples differ in some digit of their binary numbers: a random cotangent of those that have a 1 in one digit, or of
 * those that have a 0, must not reach the parts of the others. That takes 2 log2 N gradients.
 */
export function isApartByTrial(node: Node, index: number, count: number): boolean {
  const { output } = node;
  const input = node.inputs[index]!;
  const generator = new Generator(0);
  const random = Float32Array.from({ length: output.size }, () => generator.normal());
  const [given, taken] = [output.size / count, input.size / count];
  for (let bit = 1; bit < count; bit *= 2)
    for (const digit of [0, bit]) {
      const speaks = (example: number) => (example & bit) === digit;
      const g = tensor(
        random.map((x, i) => (speaks(Math.floor(i / given)) ? x : 0)),
        output.shape,
      );
      const sent = numbersOf(adjoint(node, g, index));
      // NaN counts as something.
      if (sent.some((x, i) => x !== 0 && !speaks(Math.floor(i / taken)))) return false;
    }
  return true;
}

/** A cotangent in which only one example speaks. */
export function onlyPart(g: Tensor, example: number, count: number): Tensor {
  const numbers = numbersOf(g);
  const each = numbers.length / count;
  numbers.fill(0, 0, example * each);
  numbers.fill(0, (example + 1) * each);
  return tensor(numbers, g.shape);
}
