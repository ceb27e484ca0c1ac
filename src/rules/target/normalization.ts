/**
 * Target propagation through normalization: layer normalization, whose outputs lie on a sphere, and weights given as a direction and
 * a length.
 */
import type { Block, BlockNode } from '../../autograd/block.ts';
import { spring } from '../../autograd/message.ts';
import { type BlockRule, type NodeRule, withRules } from '../../autograd/rule.ts';
import type { Visit } from '../../autograd/visit.ts';
import { add, div, eq, ge, le, mul, ne, sub, where } from '../../ops/binary.ts';
import { abs, rsqrt, square } from '../../ops/elementwise.ts';
import { amax, mean, norm } from '../../ops/reduce.ts';
import { reshape } from '../../ops/shape.ts';
import { sum } from '../../ops/sum.ts';
import { constant } from '../../tensor/create.ts';
import { showShape } from '../../tensor/layout.ts';
import { checkTensor, numbersOf, type Tensor } from '../../tensor/tensor.ts';
import { askFor, summed } from '../springs/rule.ts';
import { pulled, ratio, wishOf } from './wish.ts';

/** Rows at mean 0 and (but for eps) variance 1, and the length in which they are measured. */
function standardized(x: Tensor, eps: number): { normal: Tensor; deviation: Tensor } {
  const centred = sub(x, mean(x, -1, true));
  const scale = rsqrt(add(mean(square(centred), -1, true), eps));
  return { normal: mul(centred, scale), deviation: div(1, scale) };
}

const epsOf = ({ attributes }: Visit): number => (attributes as { readonly eps: number }).eps;

/**
 * Target propagation's rule for `layerNorm`, y = g n + b with n the row at mean 0 and length sqrt(columns). For a target t of a row:
 *
 *     n' = (t - b) / g, moved to mean 0 and to the length of n: the nearest that can come out (where g is 0, n stands for it)
 *     d  = (n' - n) s, s the row's standard deviation;  with p
 *
 * After x has moved by d the output is g n' + b: a row keeps its mean and its length and turns. A row of equal numbers has nowhere to turn. What no x can do is left to g and b,
 * which learn at the settled input x'' as `targetLinear`'s weights do: each column is a weight on n'' and one on a constant 1, and each
 * sample, weighed by p, asks for the least change that makes up for what is missing. A surrogate.
 *
 *     const v = tensor([[0, 2]]).requiresGrad_();
 *     const y = withRules({ layerNorm: targetLayerNorm() }, () => layerNorm(v, 2));
 *     backward(target(y, tensor([[7, 3]])));
 *     inboxOf(v).step().toArray(); // [[2, -2]]
 */
export function targetLayerNorm(): NodeRule {
  return {
    name: 'targetLayerNorm',
    accepts: 'target',
    surrogate: true,
    propagate(visit) {
      if (visit.op !== 'layerNorm')
        throw new Error(`targetLayerNorm: this is a rule for the op layerNorm, and it was put at ${visit.op}.`);
      const nothing = visit.inputs.map(() => null);
      if (!visit.inputs[0]!.wanted) return nothing;
      const hard = visit.message.springs!.hard?.mask ?? null;
      return [askFor(turned(visit), visit.precision, hard, visit, 'targetLayerNorm'), ...nothing.slice(1)];
    },
    learn(visit) {
      const [x, weight, bias] = visit.inputs;
      const [turns, shifts] = [weight?.wanted === true, bias?.wanted === true];
      if (!turns && !shifts) return visit.inputs.map(() => null);
      const wish = wishOf(visit, 'targetLayerNorm');
      const { normal } = standardized(x!.value, epsOf(visit));
      const { normal: at } = standardized(x!.settled(visit.stiffness), epsOf(visit));
      const missing = sub(wish.displacement, mul(sub(at, normal), weight!.value));
      const size = add(turns ? square(at) : constant(0), shifts ? 1 : 0);
      const counts = mul(wish.precision, ne(size, 0));
      const weighed = mul(counts, ratio(missing, size));
      const perColumn = summed(counts, visit.output.shape, [0]);
      const precision = perColumn.ndim === 2 ? reshape(perColumn, [perColumn.shape[1]!]) : perColumn;
      return visit.inputs.map((_, i) => {
        if (i === 1 && turns) return pulled(sum(mul(weighed, at), 0), precision, wish);
        return i === 2 && shifts ? pulled(sum(weighed, 0), precision, wish) : null;
      });
    },
  };
}

/** Where a row should turn to; exactly 0 for a row that is asked nothing. */
function turned(visit: Visit): Tensor {
  const { inputs, output, displacement } = visit;
  if (output.size === 0) return displacement;
  const [weight, bias] = [inputs[1]?.value, inputs[2]?.value];
  const { normal, deviation } = standardized(inputs[0]!.value, epsOf(visit));
  const wished = add(output, displacement);
  const shifted = bias === undefined ? wished : sub(wished, bias);
  const undone =
    weight === undefined ? shifted : where(eq(weight, 0), normal, div(shifted, where(eq(weight, 0), 1, weight)));
  const centred = sub(undone, mean(undone, -1, true));
  const length = norm(centred, -1, true);
  // A wish that is the same number throughout points nowhere; what rounding leaves of it points anywhere.
  const nowhere = le(length, mul(norm(undone, -1, true), 1e-6));
  const nearest = where(nowhere, normal, mul(centred, ratio(norm(normal, -1, true), length)));
  const asked = amax(abs(displacement), -1, true);
  return where(eq(asked, 0), 0, mul(sub(nearest, normal), deviation));
}

/**
 * A weight from its direction and its length: w_o = scale_o v_o / |v_o| for each row (neuron, filter) o (Salimans and Kingma, "Weight
 * normalization", 2016, equation 2). What v's own length is does not matter.
 *
 * Why this helps target propagation: a neuron that is asked for dy asks its input for dy w, and would then move by dy |w|^2. With |w| = 1
 * it moves by dy exactly. And of O neurons together the mean signal 1/O sum dy_o w_o moves outputs by dy W W^T / O, whose
 * eigenvalues lie between 0 and sum |w_o|^2 / O: with all |w_o| = 1 it never overshoots, whatever the directions have become. A
 * free weight grows while it learns, and the gain of the signal, |W|^2 / O in each layer, with it; a fixed length
 * keeps the gain at what it was, and all that learning can do is turn.
 *
 * @param direction [O, ...], no row of zeros
 * @param scale [O]: the lengths; a tensor without gradient (ones) keeps them fixed
 * @param rule what answers targets for w: targetWeightNorm(), one for each weight. Left out: the rules around (gradients)
 *
 *     const v = tensor([[3, 4]]).requiresGrad_();
 *     weightNorm(v, tensor([10])).toArray().flat().map(Math.round); // [6, 8]
 */
export function weightNorm(direction: Tensor, scale: Tensor, rule: BlockRule | null = null): Tensor {
  checkTensor('weightNorm', direction);
  checkTensor('weightNorm', scale);
  const rows = direction.shape[0];
  if (direction.ndim < 2 || scale.ndim !== 1 || scale.size !== rows)
    throw new Error(
      `weightNorm: direction ${showShape(direction.shape)} and scale ${showShape(scale.shape)} do not fit: direction is [O, ...], and ` +
        'scale has one length for each of its O rows, [O].',
    );
  const axes = direction.shape.map((_, axis) => axis).slice(1);
  const compute = (): Tensor => {
    const length = norm(direction, axes, true);
    const empty = numbersOf(length).indexOf(0);
    if (empty >= 0)
      throw new Error(
        `weightNorm: row ${empty} of direction ${showShape(direction.shape)} is all zeros, and points nowhere. Start from random ` +
          'numbers.',
      );
    return mul(direction, div(reshape(scale, length.shape), length));
  };
  return rule === null ? compute() : withRules({ '*': rule }, compute);
}

/**
 * The rule that turns a target for a `weightNorm` weight into a rotation and a length, apart:
 *
 *     scale' = |t| (with the sign of scale),   v' = |v| t / |t|
 *
 * If both move in full w is t exactly, and |v| stays; if the lengths are fixed, w turns towards t and keeps its own. How firmly:
 * the scale by sum p_i (v_i / |v|)^2, the direction by p (scale / |v|)^2, what their slopes say (of a row of length 0, p (|t| / |v|)^2). A row
 * whose target is 0 loses its length and keeps its direction. A surrogate.
 *
 *     const v = tensor([[1, 0]]).requiresGrad_();
 *     const length = tensor([2]).requiresGrad_();
 *     backward(target(weightNorm(v, length, targetWeightNorm()), tensor([[0, 5]])));
 *     inboxOf(v).step().toArray(); // [[-1, 1]]
 *     inboxOf(length).step().toArray(); // [3]
 */
export function targetWeightNorm(): BlockRule {
  return {
    name: 'targetWeightNorm',
    surrogate: true,
    settle(block) {
      for (const node of block.nodes) {
        if (node.message === null) continue;
        const quotient = node.sources[1] ?? null;
        if (node.op !== 'mul' || (quotient !== null && quotient.op !== 'div'))
          throw new Error(
            'targetWeightNorm: this is a rule for weightNorm(direction, scale, rule), and for nothing else.',
          );
        answerWeight(block, node, quotient);
      }
    },
  };
}

/** w = direction * quotient, quotient = lengths / |direction|. */
function answerWeight(block: Block, product: BlockNode, quotient: BlockNode | null): void {
  const message = product.message!;
  const { hard = null, stated = true } = message.springs ?? {};
  if (hard !== null)
    throw new Error(
      `targetWeightNorm: a hard target (of ${hard.from}) arrived at a weight of shape ${showShape(message.shape)}; it has no share for ` +
        'direction and length. Give it a finite precision.',
    );
  const [direction, factor] = product.node.inputs as [Tensor, Tensor];
  const axes = direction.shape.map((_, axis) => axis).slice(1);
  const length = norm(direction, axes, true);
  const unit = div(direction, length);
  const scale = mul(factor, length);
  const wished = add(product.node.output, message.step(block.stiffness));
  const p = message.precision(block.stiffness);
  const [reach, sign] = [norm(wished, axes, true), where(ge(scale, 0), 1, -1)];
  const precisionOf = (x: Tensor): Tensor | undefined => (stated ? x : undefined);

  if (block.wanted(product, 0)) {
    const towards = mul(wished, mul(sign, ratio(length, reach)));
    const displacement = where(eq(reach, 0), 0, sub(towards, direction));
    // Without a length there is no slope yet: the one it is to have counts.
    const felt = where(eq(scale, 0), ratio(reach, length), factor);
    block.send(product, 0, spring(displacement, precisionOf(mul(p, square(felt))), 'targetWeightNorm'));
  }
  // The lengths came through a reshape, from [O] to [O, 1, ...], if they can move at all.
  const lengths = quotient?.sources[0] ?? null;
  if (lengths !== null && block.wanted(lengths, 0)) {
    const own = [scale.size];
    const firmness = p.ndim === 0 ? p : reshape(sum(mul(p, square(unit)), axes), own);
    const displacement = reshape(sub(mul(sign, reach), scale), own);
    block.send(lengths, 0, spring(displacement, precisionOf(firmness), 'targetWeightNorm'));
  }
}
