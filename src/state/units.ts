/**
 * Units of a network, found in the recorded graph: what comes into each, what leaves it, and what it did.
 *
 * A hidden unit is an output of a linear layer, or a channel of a convolution, that other layers read. To it belong: a row
 * of the incoming weight, a number of its bias, numbers of normalizations on the way (what they learn and what they remember of
 * batches), and columns of every weight that reads it (H * W columns each where a flattened image is read). Nobody lists
 * them by hand: the walk goes back from an output of the network through the ops that keep units apart.
 *
 * Between two layers a value is seen as [outer, units, inner] in row-major order: after a linear layer inner is 1, after a
 * convolution it is the image. Reshaping leaves that order alone, so no case of flattening needs a rule of its own.
 */
import type { AnyOp } from '../autograd/define.ts';
import type { Node } from '../autograd/node.ts';
import type { RunningStatistics } from '../ops/batch-normalization.ts';
import { showShape, sizeOf } from '../tensor/layout.ts';
import { checkTensor, type Tensor } from '../tensor/tensor.ts';

/** Weights that read units: the columns of unit u are those c with floor(c / inner) mod units = u. */
export interface Outgoing {
  /** [out, in] of a linear layer, [out, in, ...kernel] of a convolution. */
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  /** Columns of the weight that stand side by side for one unit; 1 but after flattening. */
  readonly inner: number;
}

/** Parameters of a normalization between, each with the number of elements that stand side by side for one unit. */
export interface UnitNorm {
  readonly parameter: Tensor;
  readonly inner: number;
  /** What it starts as: 1 for a weight, 0 for a bias. */
  readonly start: 0 | 1;
}

/** Running statistics of a normalization between, in the same manner. They are buffers: no parameters, and nothing learns them. */
export interface UnitRunning {
  readonly buffer: Tensor;
  readonly inner: number;
  /** What it starts as: 0 for a mean, 1 for a variance. */
  readonly start: 0 | 1;
}

/** What follows a layer: an activation by the name of its op, with its slope if it has one; null: none. */
export interface Activation {
  readonly name: string;
  readonly slope: number | null;
}

export interface UnitLayer {
  readonly units: number;
  readonly kind: 'linear' | 'conv2d';
  /** [units, in, ...kernel]: its rows come into the units. */
  readonly weight: Tensor;
  /** [units] */
  readonly bias: Tensor | null;
  readonly activation: Activation | null;
  readonly norms: readonly UnitNorm[];
  readonly running: readonly UnitRunning[];
  /** All layers that read the units. */
  readonly outgoing: readonly Outgoing[];
  /** Where in a graph of the same network the activations stand: so many steps back from this output. */
  readonly place: { readonly output: number; readonly steps: number };
}

/** What the units of a layer did in one forward pass, as [outer, units, inner]: as the next layer read it. */
export interface Activations {
  readonly tensor: Tensor;
  readonly outer: number;
  readonly inner: number;
}

/** Functions of each number alone: they keep units apart. */
const elementwise = new Set([
  ...['relu', 'leakyRelu', 'elu', 'gelu', 'geluTanh', 'silu', 'sigmoid', 'tanh', 'softplus', 'selu', 'mish'],
  ...['hardswish', 'logsigmoid', 'abs', 'square', 'sign', 'sin', 'cos', 'exp', 'expm1', 'erf', 'neg', 'clamp'],
  ...['powScalar', 'identity', 'clone'],
]);
const notActivations = new Set(['identity', 'clone']);
const norms = new Set(['layerNorm', 'batchNorm', 'batchNormInUse']);
const pools = new Set(['maxPool2d', 'avgPool2d']);
/** Behind the last layer, where nothing is reset, these may stand too. */
const tails = new Set(['softmax', 'logSoftmax']);

const isLayer = ({ op }: Node): boolean => op?.name === 'linear' || op?.name === 'conv2d';
const nodeOf = ({ node }: Tensor): Node | null => node;

/**
 * Dropout and its like, a product with numbers that nobody learns; and a product with numbers that are the same for all examples and
 * computed, as HAT's masks are: whoever computes them hears of resets. A factor that is learned itself would be a part of units
 * that nobody resets, and is not passed.
 */
function isMask({ op, inputs, output }: Node): boolean {
  const [x, factor] = inputs as [Tensor, Tensor | undefined];
  if (op?.name !== 'mul' || factor === undefined || x.size !== output.size) return false;
  return factor.node === null || (factor.ndim < output.ndim && isComputed(factor));
}

/** Whether an operand is made by more than a reshape of a leaf. */
function isComputed({ node }: Tensor): boolean {
  if (node === null || node.op === null) return false;
  return node.op.name !== 'reshape' || isComputed((node as Node).inputs[0]!);
}

/** The parameter behind an operand of a layer. That of a norm may have been reshaped: it is read in row-major order. */
function leafOf(who: 'weight' | 'bias' | 'norm', operand: Tensor): Tensor {
  const node = nodeOf(operand);
  if (node === null || node.op === null) return operand;
  if (who === 'norm' && node.op.name === 'reshape') return leafOf(who, node.inputs[0]!);
  throw new Error(
    `findUnits: the ${who} of shape ${showShape(operand.shape)} is computed (by ${node.op.name}), and cannot be reset. Units are found ` +
      'where layers hold their weights themselves.',
  );
}

const shared = (weight: Tensor): Error =>
  new Error(
    `findUnits: the weight of shape ${showShape(weight.shape)} is used in two places of the graph. A unit with shared weights cannot ` +
      'be reset alone; give each layer a weight of its own, or an output that leads past one of them.',
  );

function cannotPass({ op, inputs }: Node): Error {
  const name = (op as AnyOp).name;
  const graphs = inputs.filter((x) => x.node !== null).length;
  const why =
    graphs > 1
      ? 'joins several values (a residual sum, a loss, a product of layers), so a unit has no weights of its own'
      : 'does not keep units apart';
  return new Error(
    `findUnits: ${name} ${why}. Units are found through linear, conv2d, reshape, elementwise activations, dropout, layerNorm, ` +
      "batchNorm and pooling; give the network's output, not the loss.",
  );
}

/** A way back from a value to the layer that made it: the nodes passed, last first; `from` is null at an input. */
interface Way {
  readonly from: Node | null;
  readonly passed: readonly Node[];
}

function wayBack(start: Tensor, tail: boolean): Way {
  const passed: Node[] = [];
  for (let node = nodeOf(start); ; ) {
    if (node === null || node.op === null) return { from: null, passed };
    if (isLayer(node)) return { from: node, passed };
    if (node.inputs.length === 0)
      throw new Error('findUnits: the graph of this output was given back. Ask before the next backward call.');
    const { name } = node.op;
    const passes = elementwise.has(name) || pools.has(name) || norms.has(name) || name === 'reshape' || isMask(node);
    if (!passes && !(tail && tails.has(name))) throw cannotPass(node);
    passed.push(node);
    node = nodeOf(node.inputs[0]!);
  }
}

/** A layer while the graph is being walked. */
interface Found extends UnitLayer {
  readonly norms: UnitNorm[];
  readonly running: UnitRunning[];
  readonly outgoing: Outgoing[];
}

/** What belongs to the units in a normalization: how many of its numbers stand side by side for one, null if none is one unit's. */
function heldBy({ op, inputs }: Node, units: number, inner: number): number | null | 'mixed' {
  const [, columns, ...places] = inputs[0]!.shape as [number, number, ...number[]];
  if (op!.name === 'layerNorm') {
    // A norm within a unit's own image has one weight for all units: it belongs to none.
    if (inner % columns === 0 && columns < units * inner) return null;
    return columns % (units * inner) === 0 ? inner : 'mixed';
  }
  // A channel is a run of so many numbers, and lies within one unit.
  const run = sizeOf(places);
  return inner % run === 0 && (columns * run) % (units * inner) === 0 ? inner / run : 'mixed';
}

/** The operands of a normalization that are learned, and its running statistics. */
function partsOf({ op, inputs, attributes }: Node): { learned: readonly Tensor[]; running: readonly Tensor[] } {
  if (op!.name === 'batchNormInUse') return { learned: inputs.slice(3), running: inputs.slice(1, 3) };
  const { running = null } = attributes as { running?: RunningStatistics | null };
  return { learned: inputs.slice(1), running: running === null ? [] : [running.mean, running.variance] };
}

/** Follows units from the layer that makes them to the one that reads them. */
function follow(
  maker: Node,
  passed: readonly Node[],
  reader: Node,
): { norms: UnitNorm[]; running: UnitRunning[]; outgoing: Outgoing } {
  const units = maker.inputs[1]!.shape[0]!;
  let inner = maker.op!.name === 'conv2d' ? maker.output.shape[2]! * maker.output.shape[3]! : 1;
  const found: { norms: UnitNorm[]; running: UnitRunning[] } = { norms: [], running: [] };
  const asImage = (x: Tensor): boolean => x.ndim === 4 && x.shape[1] === units && x.shape[2]! * x.shape[3]! === inner;
  const mixed = (name: string, shape: readonly number[]): Error =>
    new Error(
      `findUnits: ${name} at shape ${showShape(shape)} does not keep the ${units} units of a layer apart, each of ${inner} numbers.`,
    );
  for (const node of passed.toReversed()) {
    const name = node.op!.name;
    const before = node.inputs[0]!;
    if (pools.has(name)) {
      if (!asImage(before)) throw mixed(name, before.shape);
      inner = node.output.shape[2]! * node.output.shape[3]!;
    }
    if (!norms.has(name)) continue;
    const side = heldBy(node, units, inner);
    if (side === 'mixed') throw mixed(name, before.shape);
    if (side === null) continue;
    const { learned, running } = partsOf(node);
    for (const [i, parameter] of learned.entries())
      found.norms.push({ parameter: leafOf('norm', parameter), inner: side, start: i === 0 ? 1 : 0 });
    for (const [i, buffer] of running.entries())
      found.running.push({ buffer: leafOf('norm', buffer), inner: side, start: i === 0 ? 0 : 1 });
  }
  const [input, weight, bias] = reader.inputs as [Tensor, Tensor, Tensor?];
  const own = { weight: leafOf('weight', weight), bias: bias === undefined ? null : leafOf('bias', bias) };
  if (reader.op!.name === 'conv2d') {
    if (!asImage(input)) throw mixed('conv2d', input.shape);
    if (weight.shape[1] !== units)
      throw new Error(
        `findUnits: a convolution in groups reads the ${units} channels of a layer, and its weight ${showShape(weight.shape)} has no ` +
          'column for each of them. Units are found before convolutions of one group.',
      );
    return { ...found, outgoing: { ...own, inner: 1 } };
  }
  if (input.shape[1]! % (units * inner) !== 0) throw mixed('linear', input.shape);
  return { ...found, outgoing: { ...own, inner } };
}

function activationIn(passed: readonly Node[]): Activation | null {
  const node = passed.findLast(({ op }) => elementwise.has(op!.name) && !notActivations.has(op!.name));
  if (node === undefined) return null;
  const { slope } = (node.attributes ?? {}) as { slope?: number };
  return { name: node.op!.name, slope: slope ?? null };
}

/**
 * The layers of hidden units that lead to an output of a network (or to several, if it has several heads), from the input on.
 * Outputs' own units are not among them. A network whose units cannot be found is an error that says where and why:
 * residual sums, shared weights, weights that are computed.
 *
 *     const model = new Sequential(new Conv2d(1, 4, 3), new ReLU(), new Flatten(), new Linear(144, 10));
 *     const [layer] = findUnits(model.forward(randn([2, 1, 8, 8])));
 *     [layer.units, layer.activation.name, layer.outgoing[0].inner]; // [4, "relu", 36]
 */
export function findUnits(outputs: Tensor | readonly Tensor[]): UnitLayer[] {
  const heads = Array.isArray(outputs) ? (outputs as readonly Tensor[]) : [outputs as Tensor];
  const layers = new Map<Node, Found>();
  const owners = new Map<Tensor, Node>();
  const atHeads = new Set<Node>();
  const pending: { reader: Node; output: number; steps: number }[] = [];
  heads.forEach((head, output) => {
    checkTensor('findUnits', head);
    if (head.node === null || head.node.op === null)
      throw new Error(
        'findUnits: this tensor has no recorded graph. Give the output of a forward pass outside noGrad, of layers that train.',
      );
    const { from, passed } = wayBack(head, true);
    if (from === null) throw new Error('findUnits: no linear layer or convolution leads to this output.');
    if (!atHeads.has(from)) pending.push({ reader: from, output, steps: passed.length });
    atHeads.add(from);
  });
  for (const { reader, output, steps } of pending) {
    const weight = leafOf('weight', reader.inputs[1]!);
    if ((owners.get(weight) ?? reader) !== reader) throw shared(weight);
    owners.set(weight, reader);
    const { from: maker, passed } = wayBack(reader.inputs[0]!, false);
    if (maker === null || atHeads.has(maker)) continue;
    const { norms, running, outgoing } = follow(maker, passed, reader);
    const known = layers.get(maker);
    if (known === undefined) {
      const [, incoming, bias] = maker.inputs as [Tensor, Tensor, Tensor?];
      layers.set(maker, {
        units: incoming.shape[0]!,
        kind: maker.op!.name as 'linear' | 'conv2d',
        weight: leafOf('weight', incoming),
        bias: bias === undefined ? null : leafOf('bias', bias),
        activation: activationIn(passed),
        norms,
        running,
        outgoing: [outgoing],
        place: { output, steps },
      });
      pending.push({ reader: maker, output, steps: steps + 1 + passed.length });
    } else {
      known.outgoing.push(outgoing);
      for (const norm of norms)
        if (!known.norms.some(({ parameter }) => parameter === norm.parameter)) known.norms.push(norm);
      for (const one of running)
        if (!known.running.some(({ buffer }) => buffer === one.buffer)) known.running.push(one);
    }
  }
  if (layers.size === 0)
    throw new Error('findUnits: there are no hidden units: nothing but one layer leads to the output.');
  return [...layers.values()].reverse();
}

const strange = (): Error =>
  new Error(
    'activationsOf: this output is not of the network in which the units were found, or its graph was given back. Ask after ' +
      'the forward pass and before the next backward call, with the output that the loss was made of.',
  );

/** The activations of a layer's units in a forward pass of the same network, its output given. */
export function activationsOf({ place, units, outgoing }: UnitLayer, outputs: Tensor | readonly Tensor[]): Activations {
  const head = Array.isArray(outputs) ? (outputs as readonly Tensor[])[place.output] : (outputs as Tensor);
  let at: Tensor | undefined = head;
  for (let i = 0; i < place.steps; i++) at = at?.node?.inputs[0];
  const reader = at?.node;
  const { weight, inner } = outgoing[0]!;
  if (!reader || reader.inputs.length < 2 || reader.inputs[1] !== weight) throw strange();
  const features = reader.inputs[0]!;
  const image = weight.ndim === 4 ? features.shape[2]! * features.shape[3]! : inner;
  return { tensor: features, outer: features.size / (units * image), inner: image };
}

/** Columns of a unit in a weight that reads it (or elements of a norm), `size` being the number of all columns. */
export function columnsOf(unit: number, units: number, inner: number, size: number): number[] {
  const columns: number[] = [];
  for (let start = unit * inner; start < size; start += units * inner)
    for (let i = 0; i < inner; i++) columns.push(start + i);
  return columns;
}
