/**
 * All spring rules at once: rules under which targets stay targets all the way down, and which send exactly the gradients that
 * backpropagation sends.
 */
import type { NodeRule, Rules } from '../../autograd/rule.ts';
import { springAdd, springElementwise, springMul } from './elementwise.ts';
import { type SpringProductOptions, springConvolution, springLinear } from './products.ts';
import { springAveragePool, springMaxPool, springSum } from './reductions.ts';

/** The elementwise ops of one operand that have a slope. */
const elementwiseOps = [
  ...(['neg', 'exp', 'expm1', 'log', 'log1p', 'sin', 'cos', 'sqrt', 'rsqrt', 'reciprocal', 'abs', 'square'] as const),
  ...(['sign', 'erf', 'tanh', 'sigmoid', 'logsigmoid', 'softplus', 'relu', 'silu', 'mish', 'hardswish'] as const),
  ...(['selu', 'gelu', 'geluTanh', 'leakyRelu', 'elu', 'clamp', 'powScalar'] as const),
] as const;

export interface SpringOptions extends SpringProductOptions {}

/**
 * Rules for every op through which springs have a diagonal form: products with weights, sums and means, elementwise functions, pools.
 * None is a surrogate: read as gradients, all messages are backpropagation's, whatever the options. What changes is that
 * each value and each parameter also learns how firmly it is asked, so that inboxOf(w).step() is a step with a length
 * of its own (Gauss and Newton's, bounded by a diagonal), and no step size has to be guessed.
 *
 * Views, cat and gather carry springs by themselves. At any other op (softmax, matmul, losses) springs become gradients, which
 * needs targets whose precision was stated.
 *
 *     const net = new Sequential(new Linear(4, 8), new ReLU(), new Linear(8, 2));
 *     attachRules(net, springs());
 *     const out = net.forward(randn([16, 4]));
 *     backward(target(out, zeros([16, 2]), { precision: 1 / 16 }));
 *     net.parameters().map((w) => inboxOf(w).kind); // ["target", "target", "target", "target"]
 */
export function springs(options: SpringOptions = {}): Rules {
  const elementwise = springElementwise();
  const [add, mul, extreme] = [springAdd(), springMul(), springMaxPool()];
  const rules: Record<string, NodeRule> = {
    ...{ linear: springLinear(options), conv2d: springConvolution(options) },
    ...{ add, sub: add, mul, div: mul, sum: springSum() },
    ...{ maxPool2d: extreme, amax: extreme, amin: extreme, avgPool2d: springAveragePool() },
  };
  for (const op of elementwiseOps) rules[op] = elementwise;
  return rules;
}
