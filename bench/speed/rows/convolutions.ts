/**
 * Convolutions of 32 images of 28x28, and their two gradients, each alone.
 *
 * The unit is GFLOP/s: two operations for every product of an output position and a weight, the products with padding counted as
 * if they were computed. A gradient has as many.
 */

import { type Matrix, randomMatrix, uniformNumbers } from './numbers.ts';
import type { RowOf } from './row.ts';

/** What is computed, from image and weight, or from the output's gradient and the other operand. */
export type ConvolutionPart = 'forward' | 'image gradient' | 'weight gradient';

export interface Convolution {
  readonly kind: 'convolution';
  readonly part: ConvolutionPart;
  readonly images: number;
  readonly inputs: number;
  readonly outputs: number;
  /** Height and width of the image. */
  readonly side: number;
  /** Height and width of the filters. */
  readonly kernel: number;
  readonly stride: number;
  /** Zeros on every side of the image. */
  readonly padding: number;
  /** One filter for each channel (inputs = outputs), instead of one over all channels for each output. */
  readonly depthwise: boolean;
}

type Geometry = Omit<Convolution, 'kind' | 'part'>;

const usual: Geometry = {
  images: 32,
  inputs: 16,
  outputs: 32,
  side: 28,
  kernel: 3,
  stride: 1,
  padding: 1,
  depthwise: false,
};

const geometries: Readonly<Record<string, Geometry>> = {
  '3x3': usual,
  '1x1': { ...usual, kernel: 1, padding: 0 },
  'depthwise 3x3': { ...usual, inputs: 32, depthwise: true },
  '3x3 stride 2': { ...usual, stride: 2 },
};

const parts: readonly ConvolutionPart[] = ['forward', 'image gradient', 'weight gradient'];

export const convolutionRows: readonly RowOf<Convolution>[] = Object.entries(geometries).flatMap(([name, geometry]) =>
  parts.map((part): RowOf<Convolution> => {
    const task: Convolution = { kind: 'convolution', part, ...geometry };
    return { suite: 'conv', name: `${name} ${part}`, unit: 'GFLOP/s', workPerCall: flopsOf(task) / 1e9, task };
  }),
);

/** Height and width of the output. */
export function outputSide({ side, kernel, stride, padding }: Convolution): number {
  return Math.floor((side + 2 * padding - kernel) / stride) + 1;
}

function flopsOf(task: Convolution): number {
  const channels = task.depthwise ? 1 : task.inputs;
  return 2 * task.images * task.outputs * outputSide(task) ** 2 * channels * task.kernel ** 2;
}

export interface ConvolutionData {
  /** [images, inputs, side, side] */
  readonly image: Matrix;
  /** [outputs, inputs, kernel, kernel]; depthwise [outputs, 1, kernel, kernel] */
  readonly weight: Matrix;
  /** The gradient of the output, [images, outputs, output side, output side]. */
  readonly slope: Matrix;
}

export function convolutionData(task: Convolution): ConvolutionData {
  const uniform = uniformNumbers(4);
  const { image, weight, slope } = shapesOf(task);
  return {
    image: randomMatrix(image, 1, uniform),
    weight: randomMatrix(weight, 1, uniform),
    slope: randomMatrix(slope, 1, uniform),
  };
}

/** The shape of what the part computes. */
export function convolutionResultShape(task: Convolution): readonly number[] {
  const { image, weight, slope } = shapesOf(task);
  return { forward: slope, 'image gradient': image, 'weight gradient': weight }[task.part];
}

function shapesOf(task: Convolution): Readonly<Record<keyof ConvolutionData, readonly number[]>> {
  const { images, inputs, outputs, side, kernel, depthwise } = task;
  const reached = outputSide(task);
  return {
    image: [images, inputs, side, side],
    weight: [outputs, depthwise ? 1 : inputs, kernel, kernel],
    slope: [images, outputs, reached, reached],
  };
}
