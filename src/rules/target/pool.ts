/**
 * Target propagation through max pools: the winner is asked to be what the pool should give, and so is whoever would win against it.
 */
import type { NodeRule } from '../../autograd/rule.ts';
import type { Visit } from '../../autograd/visit.ts';
import type { PoolGeometry } from '../../ops/pool.ts';
import { expand } from '../../ops/sum.ts';
import { tensor } from '../../tensor/create.ts';
import { sizeOf } from '../../tensor/layout.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import { askFor } from '../springs/rule.ts';

/**
 * Target propagation's rule for `maxPool2d`. Of each window with target t and precision p the winner (of a tie, the first) gets (t, p), whether
 * it has to rise or fall; losers above t get (t, p) too, so that none of them wins instead; the others get nothing. If all
 * move as asked, the pool gives t exactly. Windows that overlap share numbers, which then weigh what they are told by its
 * precision.
 *
 * springMaxPool() asks the winner alone, as the gradient does. A surrogate, since losers are asked.
 *
 *     const image = tensor([[[[1, 4], [5, 2]]]]).requiresGrad_();
 *     const pooled = withRules({ maxPool2d: targetMaxPool() }, () => maxPool2d(image, { kernelSize: 2 }));
 *     backward(target(pooled, tensor([[[[3]]]])));
 *     inboxOf(image).step().toArray(); // [[[[0, -1], [-2, 0]]]]
 */
export function targetMaxPool(): NodeRule {
  return {
    name: 'targetMaxPool',
    accepts: 'target',
    surrogate: true,
    propagate(visit) {
      if (visit.op !== 'maxPool2d')
        throw new Error(
          `targetMaxPool: at ${visit.op}, but it is a rule of maxPool2d. springMaxPool() is for amax and amin.`,
        );
      if (!visit.inputs[0]!.wanted) return [null];
      const hard = visit.message.springs!.hard?.mask ?? null;
      const { displacement, precision, mask } = askWindows(visit, hard && numbersOf(hard));
      return [askFor(displacement, precision, hard && mask, visit, 'targetMaxPool')];
    },
  };
}

interface Asked {
  readonly displacement: Tensor;
  readonly precision: Tensor;
  readonly mask: Tensor;
}

/** What all windows together ask of each number; a hard target beats soft ones. */
function askWindows(visit: Visit, hard: ArrayLike<number> | null): Asked {
  const { image, output, kernel, stride, padding } = visit.attributes as PoolGeometry;
  const [, , height, width] = image as [number, number, number, number];
  const [, , rows, columns] = output as [number, number, number, number];
  const values = numbersOf(visit.inputs[0]!.value);
  const pooled = numbersOf(visit.output);
  const moves = numbersOf(visit.displacement);
  const firmness = numbersOf(expand(visit.precision, output));
  const size = sizeOf(image);
  const [pull, precision, mask, exact] = Array.from({ length: 4 }, () => new Float64Array(size)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  for (let window = 0; window < pooled.length; window++) {
    const [value, d, p] = [pooled[window]!, moves[window]!, firmness[window]!];
    const isHard = hard !== null && hard[window] !== 0;
    const plane = Math.floor(window / (rows * columns)) * height * width;
    const top = (Math.floor(window / columns) % rows) * stride[0] - padding[0];
    const left = (window % columns) * stride[1] - padding[1];
    let won = false;
    for (let y = Math.max(0, top); y < Math.min(height, top + kernel[0]); y++)
      for (let x = Math.max(0, left); x < Math.min(width, left + kernel[1]); x++) {
        const position = plane + y * width + x;
        // t - x, by differences: what is above the target t = value + d, or the first that has the value.
        const missing = d + (value - values[position]!);
        const wins = !won && values[position] === value;
        if (!wins && !(missing < 0)) continue;
        if (wins) won = true;
        if (isHard) {
          // Equal targets reach a number by different roundings.
          const apart = Math.abs(exact[position]! - missing);
          if (mask[position] === 1 && apart > 1e-6 * (1 + Math.abs(missing))) throw new Error(differ(visit, position));
          mask[position] = 1;
          exact[position] = missing;
        } else {
          pull[position]! += p * missing;
          precision[position]! += p;
        }
      }
  }
  const displacement = pull.map((r, i) => (mask[i] === 1 ? exact[i]! : precision[i] === 0 ? 0 : r / precision[i]!));
  return { displacement: tensor(displacement, image), precision: tensor(precision, image), mask: tensor(mask, image) };
}

const differ = ({ message }: Visit, position: number): string =>
  `targetMaxPool: two windows that overlap have hard targets (of ${message.springs!.hard!.from}) that differ for one number of the image (number ` +
  `${position} in row-major order). Give at least one of them a finite precision.`;
