/**
 * Convolutions, each part in the fastest form that was found for it (tried: `lax.conv` in NCHW; slices of the padded NHWC image joined
 * to patches and one product; a product for each tap, summed; and for 3x3 the products of all taps at once on the padded image, shifted
 * and summed; each in one jit, in several, and eager).
 *
 * A gradient is `vjp` of the convolution, traced before the clock starts: what the library keeps from the forward pass, patches of the
 * image among it, is ready when it starts.
 */

import type { Workload } from '../harness.ts';
import { type Convolution, convolutionData, convolutionResultShape } from '../rows/convolutions.ts';
import { permuted } from '../rows/numbers.ts';
import { type Jax, type JaxArray, toArray, type Way } from './library.ts';

type Convolve = (image: JaxArray, weight: JaxArray) => JaxArray;

/** How a part is computed: the layout that its images and weights are in, and the function (its parts compiled already). */
interface Form {
  /** NHWC with weights [height, width, in, out], depthwise [height, width, out]; else as the row has them. */
  readonly channelsLast: boolean;
  readonly convolve: Convolve;
}

export function prepareConvolution(way: Way, task: Convolution): Workload {
  const { jax } = way;
  const { channelsLast, convolve } = formOf(way, task);
  const data = convolutionData(task);
  const toImage = (matrix: typeof data.image) => toArray(jax, channelsLast ? permuted(matrix, [0, 2, 3, 1]) : matrix);
  const image = toImage(data.image);
  const weight = toArray(jax, channelsLast ? permuted(data.weight, [2, 3, 1, 0]) : data.weight);
  const owned: { dispose(): void }[] = [image, weight];
  const dispose = () => {
    for (const one of owned) one.dispose();
  };
  const inRowLayout = (result: Float32Array) => (channelsLast ? toRowLayout(task, result) : result.slice());

  if (task.part === 'forward') {
    return { run: () => convolve(image.ref, weight.ref).dataSync(), inRowLayout, dispose };
  }
  const slope = toImage(data.slope);
  const [output, back] =
    task.part === 'image gradient'
      ? jax.vjp((x) => convolve(x, weight.ref), [image.ref])
      : jax.vjp((w) => convolve(image.ref, w), [weight.ref]);
  output.dispose();
  owned.push(slope, back);
  return { run: () => back(slope.ref)[0].dataSync(), inRowLayout, dispose };
}

function formOf({ jax, jitted, compile }: Way, task: Convolution): Form {
  const { part, kernel, stride, depthwise } = task;
  if (kernel === 1) return { channelsLast: true, convolve: compile(pointwise(jax)) };
  if (depthwise) {
    if (part !== 'forward') return { channelsLast: true, convolve: compile(depthwiseTaps(jax, true)) };
    return { channelsLast: false, convolve: jitted ? compile(depthwiseTaps(jax, false)) : library(jax, task) };
  }
  if (part === 'image gradient') return { channelsLast: true, convolve: compile(productOfEachTap(jax, stride)) };
  if (part === 'forward' && stride === 1 && jitted) {
    return { channelsLast: true, convolve: productOfAllTaps(jax, compile) };
  }
  return { channelsLast: true, convolve: compile(patchesAndProduct(jax, stride)) };
}

function library({ lax }: Jax, { stride, padding, depthwise, inputs }: Convolution): Convolve {
  const around = [padding, padding] as const;
  const options = { featureGroupCount: depthwise ? inputs : 1 };
  return (image, weight) => lax.convGeneralDilated(image, weight, [stride, stride], [around, around], options);
}

function pointwise({ numpy }: Jax): Convolve {
  return (image, weight) => {
    const [count, height, width, inputs] = image.shape as [number, number, number, number];
    const product = numpy.matmul(image.reshape([count * height * width, inputs]), weight.reshape([inputs, -1]));
    return product.reshape([count, height, width, -1]);
  };
}

const around = [1, 1] as const;
const taps = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => ({ row, column })));

/** The part of the padded NHWC image that each of the nine taps sees, [count, height, width, channels] of the output. */
function seenByTaps({ numpy }: Jax, image: JaxArray, stride: number): JaxArray[] {
  const padded = numpy.pad(image, [[0, 0], around, around, [0, 0]]);
  const [count, paddedHeight, paddedWidth, channels] = padded.shape as [number, number, number, number];
  const [height, width] = [(paddedHeight - 2) / stride, (paddedWidth - 2) / stride];
  const phases = padded.reshape([count, paddedHeight / stride, stride, paddedWidth / stride, stride, channels]);
  const seen = taps.map(({ row, column }) => {
    const [down, right] = [Math.floor(row / stride), Math.floor(column / stride)];
    const [rowPhase, columnPhase] = [row % stride, column % stride];
    return phases.ref
      .slice(
        [],
        [down, down + height],
        [rowPhase, rowPhase + 1],
        [right, right + width],
        [columnPhase, columnPhase + 1],
        [],
      )
      .reshape([count, height, width, channels]);
  });
  phases.dispose();
  return seen;
}

function patchesAndProduct(jax: Jax, stride: number): Convolve {
  return (image, weight) => {
    const [, , inputs, outputs] = weight.shape as [number, number, number, number];
    const patches = jax.numpy.concatenate(seenByTaps(jax, image, stride), 3);
    const [count, height, width] = patches.shape as [number, number, number];
    const product = jax.numpy.matmul(
      patches.reshape([count * height * width, 9 * inputs]),
      weight.reshape([9 * inputs, outputs]),
    );
    return product.reshape([count, height, width, outputs]);
  };
}

function productOfEachTap(jax: Jax, stride: number): Convolve {
  return (image, weight) => {
    const [, , inputs, outputs] = weight.shape as [number, number, number, number];
    const seen = seenByTaps(jax, image, stride);
    const [first] = seen as [JaxArray, ...JaxArray[]];
    const [count, height, width] = first.shape as readonly [number, number, number];
    const products = seen.map((part, index) =>
      jax.numpy.matmul(part.reshape([count * height * width, inputs]), weightOf(weight, index, [inputs, outputs])),
    );
    weight.dispose();
    return total(products).reshape([count, height, width, outputs]);
  };
}

/** Three functions, compiled apart: in one jit each number of the products would be computed where it is used. */
function productOfAllTaps({ numpy }: Jax, compile: Way['compile']): Convolve {
  const pad = compile((image: JaxArray) => numpy.pad(image, [[0, 0], around, around, [0, 0]]));
  const multiply = compile((padded: JaxArray, weight: JaxArray) => {
    const [count, height, width, inputs] = padded.shape as [number, number, number, number];
    const outputs = weight.shape[3] as number;
    const byInput = numpy.transpose(weight.reshape([9, inputs, outputs]), [1, 0, 2]).reshape([inputs, 9 * outputs]);
    const product = numpy.matmul(padded.reshape([count * height * width, inputs]), byInput);
    return product.reshape([count, height, width, 9, outputs]);
  });
  const shiftAndAdd = compile((products: JaxArray) => {
    const [count, paddedHeight, paddedWidth, , outputs] = products.shape as [number, number, number, number, number];
    const [height, width] = [paddedHeight - 2, paddedWidth - 2];
    const shifted = taps.map(({ row, column }, tap) =>
      products.ref
        .slice([], [row, row + height], [column, column + width], [tap, tap + 1], [])
        .reshape([count, height, width, outputs]),
    );
    products.dispose();
    return total(shifted);
  });
  return (image, weight) => shiftAndAdd(multiply(pad(image), weight));
}

/** NHWC with weights [3, 3, channels], or NCHW with weights [channels, 1, 3, 3]. */
function depthwiseTaps(jax: Jax, channelsLast: boolean): Convolve {
  return (image, weight) => {
    if (channelsLast) {
      const channels = weight.shape[3] as number;
      const parts = seenByTaps(jax, image, 1).map((part, tap) => part.mul(weightOf(weight, tap, [channels])));
      weight.dispose();
      return total(parts);
    }
    const [, channels, height, width] = image.shape as [number, number, number, number];
    const padded = jax.numpy.pad(image, [[0, 0], [0, 0], around, around]);
    const parts = taps.map(({ row, column }) =>
      padded.ref
        .slice([], [], [row, row + height], [column, column + width])
        .mul(weight.ref.slice([], [], [row, row + 1], [column, column + 1]).reshape([channels, 1, 1])),
    );
    padded.dispose();
    weight.dispose();
    return total(parts);
  };
}

/** One tap of a weight [3, 3, in, out]. */
function weightOf(weight: JaxArray, tap: number, shape: readonly number[]): JaxArray {
  const { row, column } = taps[tap] as (typeof taps)[number];
  return weight.ref.slice([row, row + 1], [column, column + 1], [], []).reshape(shape);
}

function total(parts: readonly JaxArray[]): JaxArray {
  return parts.reduce((sum, part) => sum.add(part));
}

/** From NHWC, and from weights [height, width, in, out], to the row's layout. */
function toRowLayout(task: Convolution, data: Float32Array): Float32Array {
  const [first, second, height, width] = convolutionResultShape(task) as [number, number, number, number];
  return task.part === 'weight gradient'
    ? permuted({ data, shape: [height, width, second, first] }, [3, 2, 0, 1]).data
    : permuted({ data, shape: [first, height, width, second] }, [0, 3, 1, 2]).data;
}
