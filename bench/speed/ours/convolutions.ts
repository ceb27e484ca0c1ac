/** Convolutions; for a gradient the convolution is recorded before the clock starts, and walked back through in every call. */

import { conv2d, gradients, noGrad, parameter, type Tensor } from '../../../src/index.ts';
import type { Workload } from '../harness.ts';
import { type Convolution, convolutionData } from '../rows/convolutions.ts';
import { toBuffer, toTensor } from './numbers.ts';

export function prepareConvolution(task: Convolution): Workload {
  const { part, stride, padding, depthwise, inputs } = task;
  const options = { stride, padding, groups: depthwise ? inputs : 1 };
  const data = convolutionData(task);
  if (part === 'forward') {
    const [image, weight] = [toBuffer(data.image), toBuffer(data.weight)];
    return {
      run: () => noGrad(() => conv2d(image, weight, null, options).toFloat32Array()),
      dispose() {},
    };
  }
  const seed = toBuffer(data.slope);
  const wanted = parameter(toTensor(part === 'image gradient' ? data.image : data.weight));
  const other = toBuffer(part === 'image gradient' ? data.weight : data.image);
  const output =
    part === 'image gradient' ? conv2d(wanted, other, null, options) : conv2d(other, wanted, null, options);
  return {
    run() {
      const [gradient] = gradients(output, [wanted], { seed });
      return (gradient as Tensor).toFloat32Array();
    },
    dispose() {},
  };
}
