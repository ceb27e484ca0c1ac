/**
 * Difference target propagation: layers ask their inputs through inverses that are learned.
 *
 * A linear layer a = x W^T + b gets a map G back from a to x, with weights of its own. A target for a becomes one for x by the
 * difference that G sees (Lee, Zhang, Fischer and Bengio, "Difference target propagation", 2015, equation 15):
 *
 *     t_x = x + G(t_a) - G(a)
 *
 * If a is what was wanted, so is x, however bad G is; if G is W's inverse, x + G(t_a) - G(a) is what the layer needs. G learns
 * to undo the layer around the values that occur, from noise: min |G(f(x + e)) - (x + e)|^2 (their equation 13).
 *
 * Inverses learn when they are told to, and only then: `learnInverses`. Nothing else changes them.
 */

import { Message } from '../../autograd/message.ts';
import { noGrad, scope } from '../../autograd/modes.ts';
import type { Node } from '../../autograd/node.ts';
import { type NodeRule, type Rules, withRules } from '../../autograd/rule.ts';
import { valueAndGrad } from '../../autograd/transforms.ts';
import type { Visit } from '../../autograd/visit.ts';
import { add, div, mul, sub } from '../../ops/binary.ts';
import { square } from '../../ops/elementwise.ts';
import { sub_ } from '../../ops/inplace.ts';
import { linear } from '../../ops/matmul.ts';
import { sum } from '../../ops/sum.ts';
import { defaultGenerator, type Generator } from '../../random/generator.ts';
import { buffer, zeros } from '../../tensor/create.ts';
import { showShape } from '../../tensor/layout.ts';
import { randn } from '../../tensor/random.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { linearProduct, stiffnessOf } from '../springs/products.ts';
import { springsFor, summed } from '../springs/rule.ts';
import { answer, wishOf } from './wish.ts';

export interface DifferenceTargetOptions {
  /**
   * The nonlinearity f of the layers, an elementwise function with slopes of at most 1 (tanh, relu, sigmoid). With it G(a) = f(V f(a) + c), which takes
   * the layer's own nonlinearity in and gives the one before, as published. Left out: G(a) = V a + c.
   */
  readonly activation?: (x: Tensor) => Tensor;
  /** Standard deviation of the noise e from which inverses learn; 0.1 unless given. */
  readonly noise?: number;
  /**
   * Step of the inverses, relative to one that does not overshoot, 1 / (mean |f(a)|^2 + 1); from 0 to 2, 1 unless given. Of direct
   * inverses with an activation the bound is a guess: take less if their error grows.
   */
  readonly rate?: number;
  /**
   * Whether every layer's inverse starts at the network's output h instead of the layer's own: t_x = x + G(t_h) - G(h) (Meulemans et
   * al., "A theoretical framework for target propagation", 2020: direct difference target propagation). h and t_h are read from
   * the broadcast: backward(..., { broadcast: { output: h, target: t } }). The inverses then learn from
   * min |G(h(x + e)) - G(h) - e|^2, their difference reconstruction loss, with the rest of the network run anew.
   */
  readonly direct?: boolean;
  /** Where noise and the first inverses come from. */
  readonly generator?: Generator;
}

/** The inverse of a layer [out, in]: weight [in, sources] and bias [in]; sources are the layer's outputs, or the network's. */
export interface Inverse {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

export interface DifferenceTargets {
  /** For attachRules and withRules: a rule for the op linear. Activations need theirs: targetElementwise() or targetRelu(). */
  readonly rules: Rules;
  /**
   * One step of every inverse, at the values of this forward pass: all linear layers that carry the rule in the history of `output`.
   * Call it before `backward`, or after; messages and parameters are not touched. Returns the mean over layers of the
   * reconstruction error before the step, relative to what is reconstructed: 0 is a perfect inverse. NaN without layers.
   */
  learnInverses(output: Tensor): number;
  /** The inverse that belongs to a layer's weight [out, in]; null if the layer has not been met yet. */
  inverseOf(weight: Tensor): Inverse | null;
}

/**
 * Rules of difference target propagation, with the inverses they learn. Each layer whose input has a history gets an inverse, kept by
 * its weight parameter. The layer's own weight and bias are asked by consistent springs (`springLinear`): the gradient of
 * 1/2 p |a - t_a|^2, the local loss of the paper. What goes to x has each sample's mean precision. A surrogate.
 *
 *     const feedback = differenceTargets({ activation: tanh });
 *     const trunk = new Sequential(new Linear(6, 5), new Tanh(), new Linear(5, 4), new Tanh());
 *     attachRules(trunk, { ...feedback.rules, tanh: targetElementwise() });
 *     const hidden = trunk.forward(randn([8, 6]));
 *     feedback.learnInverses(hidden);
 *     backward(target(hidden, zeros([8, 4]), { precision: 1 }));
 *
 * The paper gives the layer below the output a gradient step, t = h - step dL/dh: leave the output layer its gradient rule, and give
 * `backward` the stiffness 1 / step.
 */
export function differenceTargets(options: DifferenceTargetOptions = {}): DifferenceTargets {
  const { activation = null, noise = 0.1, rate = 1, direct = false, generator = defaultGenerator } = options;
  if (!(typeof noise === 'number' && noise > 0 && noise < Infinity))
    throw new RangeError(`differenceTargets: noise is a number above 0, its standard deviation, not ${String(noise)}.`);
  if (!(typeof rate === 'number' && rate >= 0 && rate <= 2))
    throw new RangeError(
      `differenceTargets: rate is a number from 0 to 2 (beyond 2 inverses diverge), not ${String(rate)}.`,
    );
  const through = activation ?? ((x: Tensor) => x);
  /** By the weight of the layer. They live as long as it does. */
  const inverses = new WeakMap<Tensor, Inverse>();

  const inverseFor = (weight: Tensor, sources: number): Inverse => {
    if (weight.node !== null && weight.node.op !== null)
      throw new Error(
        `differenceTargets: the weight of shape ${showShape(weight.shape)} was computed by ${weight.node.op.name}; an inverse is kept by ` +
          "a layer's parameter, and a computed weight is another tensor each time.",
      );
    const known = inverses.get(weight);
    const features = weight.shape[1]!;
    if (known !== undefined) {
      if (known.weight.shape[1] === sources) return known;
      throw new Error(
        `differenceTargets: the inverse of the weight ${showShape(weight.shape)} starts at ${known.weight.shape[1]} numbers, and now ` +
          `there are ${sources}. Make one differenceTargets for each network.`,
      );
    }
    const start = mul(randn([features, sources], { generator }), 1 / Math.sqrt(sources));
    const made = { weight: buffer(start), bias: buffer(zeros([features])) };
    inverses.set(weight, made);
    return made;
  };

  const back = ({ weight, bias }: Inverse, from: Tensor): Tensor => through(linear(through(from), weight, bias));

  /** What the inverse at a node sees: its own output, or the network's; and where that should be. */
  const seen = (visit: Visit, displacement: Tensor): readonly [Tensor, Tensor] =>
    direct ? [visit.broadcast('output'), visit.broadcast('target')] : [visit.output, add(visit.output, displacement)];

  const toWeights = stiffnessOf(linearProduct, 'safe', 'norm');
  const rule: NodeRule = {
    name: 'differenceTargets',
    accepts: 'target',
    surrogate: true,
    propagate(visit) {
      if (visit.op !== 'linear')
        throw new Error(`differenceTargets: this is a rule for the op linear, and it was put at ${visit.op}.`);
      const wish = wishOf(visit, 'differenceTargets');
      return visit.inputs.map(({ wanted, value }, i) => {
        if (!wanted) return null;
        if (i > 0) {
          const springs = springsFor(visit, visit.message.springs!, toWeights, i, 'differenceTargets');
          return springs && new Message(null, springs);
        }
        const [from, to] = seen(visit, wish.displacement);
        const inverse = inverseFor(visit.inputs[1]!.value, from.shape.at(-1)!);
        const outputs = visit.output.shape[1]!;
        const p = div(summed(wish.precision, visit.output.shape, [1]), outputs);
        const displacement = sub(back(inverse, to), back(inverse, from));
        if (displacement.shape[0] !== value.shape[0])
          throw new Error(
            `differenceTargets: the broadcast output has ${displacement.shape[0]} rows, the input of a layer ${value.shape[0]}. Direct ` +
              'targets need one row a sample everywhere.',
          );
        return answer(displacement, p, wish, 'differenceTargets');
      });
    },
  };

  /**
   * One step of one inverse, from `source` [B, sources] to `wanted` [B, in]; with an `offset`, of the difference G(source) - G(offset).
   * Gives the relative error before the step.
   */
  const step = (inverse: Inverse, source: Tensor, offset: Tensor | null, wanted: Tensor): number =>
    scope(() => {
      const code = through(source);
      const rows = wanted.shape[0]!;
      const loss = (weight: Tensor, bias: Tensor): Tensor => {
        const given = through(linear(code, weight, bias));
        const compared = offset === null ? given : sub(given, back({ weight, bias }, offset));
        return mul(sum(square(sub(compared, wanted))), 0.5 / rows);
      };
      const [value, [byWeight, byBias]] = valueAndGrad(loss)(inverse.weight, inverse.bias);
      const curvature = bound(code, offset === null ? null : sub(code, through(offset)));
      if (curvature > 0)
        noGrad(() => {
          sub_(inverse.weight, mul(byWeight, rate / curvature));
          sub_(inverse.bias, mul(byBias, rate / curvature));
        });
      const size = sum(square(wanted)).item() / (2 * rows);
      return size === 0 ? value.item() : value.item() / size;
    });

  /**
   * How curved the loss of an inverse is, at most: the trace of the code's second moment. Of differences it is that of the change of the
   * code; what the nonlinearity bends adds about as much times the code's own.
   */
  const bound = (code: Tensor, change: Tensor | null): number => {
    const moment = (x: Tensor): number => sum(square(x)).item() / x.shape[0]!;
    if (change === null) return moment(code) + 1;
    return activation === null ? moment(change) : moment(change) * (1 + moment(code));
  };

  return {
    rules: { linear: rule },
    learnInverses(output) {
      // The rules of the scope around are for the network, not for what is computed here.
      return withRules({ '*': null }, () => {
        const history = historyOf(output);
        const errors: number[] = [];
        for (const node of history) {
          const [x, weight, bias] = node.inputs;
          if (node.rule !== rule || x!.node === null || x!.shape[0] === 0) continue;
          errors.push(
            scope(() => {
              const still = x!.detach();
              const noised = add(still, mul(randn(still.shape, { generator }), noise));
              if (!direct) {
                const source = noGrad(() => linear(noised, weight!, bias ?? null));
                return step(inverseFor(weight!, source.shape[1]!), source, null, noised);
              }
              const source = replay(history, x!.node as Node, noised);
              const inverse = inverseFor(weight!, source.shape.at(-1)!);
              return step(inverse, source, output.detach(), sub(noised, still));
            }),
          );
        }
        return errors.reduce((a, b) => a + b, 0) / errors.length;
      });
    },
    inverseOf: (weight) => inverses.get(weight) ?? null,
  };
}

/** The recorded nodes that a value was computed by, inputs before outputs. */
function historyOf({ node }: Tensor): Node[] {
  const order: Node[] = [];
  const entered = new Set<Node>();
  const stack: { node: Node; next: number }[] = [];
  const enter = (one: Node | null): void => {
    if (one === null || entered.has(one)) return;
    entered.add(one);
    stack.push({ node: one, next: 0 });
  };
  enter(node as Node | null);
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    if (top.next < top.node.inputs.length) enter(top.node.inputs[top.next++]!.node as Node | null);
    else {
      stack.pop();
      order.push(top.node);
    }
  }
  return order;
}

/** The last value of a history, computed anew with another value at one of its nodes. */
function replay(history: readonly Node[], at: Node, value: Tensor): Tensor {
  const changed = new Map<Node, Tensor>([[at, value]]);
  return noGrad(() => {
    for (const node of history) {
      if (!node.inputs.some((x) => x.node !== null && changed.has(x.node as Node))) continue;
      const inputs = node.inputs.map((x) => (x.node === null ? x : (changed.get(x.node as Node) ?? x)));
      changed.set(node, node.op!.forward(inputs, node.attributes, null));
    }
    return changed.get(history.at(-1)!) ?? history.at(-1)!.output;
  });
}
