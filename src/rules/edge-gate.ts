/**
 * Edge gates: what a layer sends to the layers below it passes through gated weights, dX = dY (W . c), elementwise in c.
 *
 * With c = 1 - confidence, errors are led away from weights that are protected: earlier layers are not asked to make up
 * for what those weights will not do. What the layer's own weights and biases get stays their gradient, so what observes
 * them sees it ungated. The field of such messages is not the gradient of any loss: the rule is a surrogate.
 */

import { slope } from '../autograd/message.ts';
import type { NodeRule, Rules } from '../autograd/rule.ts';
import type { Visit } from '../autograd/visit.ts';
import { mul } from '../ops/binary.ts';
import { readGate } from '../state/gate.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A factor for each weight of a layer: a number, a tensor that broadcasts to the weight, or a function of the weight. */
export type EdgeGate = number | Tensor | ((weight: Tensor) => number | Tensor);

/** What the op's gradient rule sends to its data if the weight were `weight`. */
function throughWeight({ node, inputs }: Visit, weight: Tensor, g: Tensor): Tensor | null {
  const { attributes, output, saved } = node;
  const { gradient } = node.op!;
  if ('because' in gradient) return null;
  const values = inputs.map(({ value }, i) => (i === 1 ? weight : value));
  const rule = typeof gradient === 'function' ? gradient : gradient[0]!;
  return rule({ inputs: values, attributes, output, saved }, g, 0);
}

/**
 * Rules for linear and conv2d that gate what they send down. The gate is read in the backward walk, so before the step.
 *
 * @returns rules for withRules or attachRules; `.linear` and `.conv2d` for setRule
 *
 *     const [x, w] = [parameter(tensor([[1, 1]])), parameter(tensor([[2, 3]]))];
 *     const y = setRule(linear(x, w), edgeGate(tensor([[1, 0]])).linear);
 *     y.sum().backward();
 *     x.grad!.toArray(); // [[2, 0]]
 *     w.grad!.toArray(); // [[1, 1]]
 */
export function edgeGate(gate: EdgeGate): { readonly linear: NodeRule; readonly conv2d: NodeRule } & Rules {
  const rule: NodeRule = {
    name: 'edge gate',
    accepts: 'gradient',
    surrogate: true,
    propagate(visit) {
      const g = visit.gradient;
      return visit.inputs.map(({ wanted }, index) => {
        if (!wanted) return null;
        if (index > 0) {
          const own = visit.gradientFor(index, g);
          return own && slope(own);
        }
        const weight = visit.inputs[1]!.value;
        const factor = readGate('edgeGate', typeof gate === 'function' ? () => gate(weight) : gate, weight);
        const down = throughWeight(visit, mul(weight, factor), g);
        return down && slope(down);
      });
    },
  };
  return { linear: rule, conv2d: rule };
}
