/** Target propagation through sums of two values: residual connections, and biases added by hand. */
import type { NodeRule } from '../../autograd/rule.ts';
import { springAdd } from '../springs/elementwise.ts';

/**
 * Target propagation's rule for `add` and `sub`: of two operands that can move each makes up for half, d / 2 with 2 p, so that together
 * they reach the target; one alone makes up for all of it. A broadcast operand sums p and r over its repeats. It is
 * springAdd() by another name, and no surrogate.
 *
 *     const [skip, branch] = [tensor([1, 1]).requiresGrad_(), tensor([2, 4]).requiresGrad_()];
 *     const y = withRules({ add: targetAdd() }, () => add(skip, branch));
 *     backward(target(y, tensor([5, 3])));
 *     inboxOf(skip).step().toArray(); // [1, -1]
 */
export const targetAdd = (): NodeRule => ({ ...springAdd(), name: 'targetAdd' });
