/**
 * Convolutions in the library's own best layout: images NHWC, weights [height, width, in, out], depthwise [height, width, channels, 1].
 * A gradient is the one kernel that the library's backward pass would run, called by its name, without the forward pass
 * that `tf.grad` would do before it.
 */

import type { Workload } from '../harness.ts';
import { type Convolution, convolutionData, convolutionResultShape } from '../rows/convolutions.ts';
import { permuted } from '../rows/numbers.ts';
import { type TensorFlow, takeNumbers, toTensor } from './library.ts';

/** Axes of a weight [out, in, height, width] in this library's order, and the way back. */
const orders = {
  full: { there: [2, 3, 1, 0], back: [3, 2, 0, 1] },
  depthwise: { there: [2, 3, 0, 1], back: [2, 3, 0, 1] },
} as const;

export function prepareConvolution(tf: TensorFlow, task: Convolution): Workload {
  const { part, stride, padding, depthwise } = task;
  const order = depthwise ? orders.depthwise : orders.full;
  const data = convolutionData(task);
  const image = permuted(data.image, [0, 2, 3, 1]);
  const weight = permuted(data.weight, order.there);
  const [x, filter, dy] = [toTensor(tf, image), toTensor(tf, weight), toTensor(tf, permuted(data.slope, [0, 2, 3, 1]))];

  const geometry = { strides: [stride, stride], pad: padding, dataFormat: 'NHWC', dilations: [1, 1] };
  const compute = {
    forward: () => (depthwise ? x.depthwiseConv2d(filter, stride, padding) : x.conv2d(filter, stride, padding)),
    'image gradient': () =>
      tf
        .engine()
        .runKernel(
          depthwise ? 'DepthwiseConv2dNativeBackpropInput' : 'Conv2DBackpropInput',
          { dy, filter },
          { ...geometry, inputShape: image.shape },
        ),
    'weight gradient': () =>
      tf
        .engine()
        .runKernel(
          depthwise ? 'DepthwiseConv2dNativeBackpropFilter' : 'Conv2DBackpropFilter',
          { x, dy },
          { ...geometry, filterShape: weight.shape },
        ),
  }[part];

  return {
    run: () => takeNumbers(compute()),
    inRowLayout(numbers) {
      const [first, second, height, width] = convolutionResultShape(task) as [number, number, number, number];
      if (part === 'weight gradient') return permuted({ data: numbers, shape: weight.shape }, order.back).data;
      return permuted({ data: numbers, shape: [first, height, width, second] }, [0, 3, 1, 2]).data;
    },
    dispose() {
      for (const owned of [x, filter, dy]) owned.dispose();
    },
  };
}
