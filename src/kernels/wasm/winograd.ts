/**
 * 3 x 3 convolution with fewer multiplications: Winograd's F(2 x 2, 3 x 3) (Lavin and Gray, "Fast algorithms for
 * convolutional neural networks", 2016, section 4.1).
 *
 * A tile d of 4 x 4 pixels gives 2 x 2 outputs of a filter w by 16 multiplications instead of 36,
 *
 *     out = A^T [U * V] A,   U = G w G^T,   V = B^T d B        (* elementwise)
 *
 *           | 1  0 -1  0 |        | 2  0  0 |
 *     B^T = | 0  1  1  0 |  2 G = | 1  1  1 |  A^T = | 1  1  1  0 |
 *           | 0 -1  1  0 |        | 1 -1  1 |        | 0  1 -1 -1 |
 *           | 0  1  0 -1 |        | 0  0  2 |
 *
 * and with many channels the elementwise products become 16 matrix products, one a position of the tile:
 * M = U [outputs x channels] V [channels x tiles]. The gradient of the image is such a convolution too, of g by the turned
 * filters.
 *
 * - Tiles are counted through all images, row by row, and taken in blocks whose V and M stay in L2. A block begins and ends
 *   wherever it falls, in the midst of a row too, so the products waste no column but in the last block. V is read where
 *   it stands: with so few channels to a position, packing it for gemm would cost more than it gives.
 * - Rows of V and M are an odd number of cache lines apart, and so are their positions: neither a column of V nor the 16
 *   places that a transform writes to meet in one set of a cache.
 * - Each plane of an image is copied into a border of zeros, wide enough for the tiles that hang over.
 * - Errors: an output depends on no pixel outside its window, here too, but its rounding error is relative to the largest
 *   pixels and weights of the window, not to their products. On normal data it is at most 5e-7 of the sum of |x| |w|, on the
 *   average 2e-8; by columns 2e-7 and 2e-8 (measured, 3 to 512 channels).
 * - Sums may overflow here that do not by the definition, and infinite pixels or weights give NaN where the definition gives
 *   infinity. So each image whose output is not all finite is computed anew, by columns.
 * - Plain multiplications and additions, in an order that depends neither on the block nor on the batch; nor does the
 *   rule by which this way is taken. An image's numbers are the same bits in every batch and on every machine.
 */
import type { Kernels } from '../table.ts';
import type { Callable, WasmModule } from './assembler.ts';
import type { Environment } from './family.ts';
import { f32x4, i32, v128 } from './instructions.ts';
import {
  bytes,
  counters,
  defineFilters,
  defineInput,
  defineOutput,
  panelRows,
  vectors,
  zero,
} from './winograd-transforms.ts';

/** The planes of an image in one group of channels. */
interface Planes {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** A convolution by 3 x 3 filters with stride 1 and dilation 1, from planes to planes. */
export interface Winograd {
  readonly images: number;
  readonly groups: number;
  readonly from: Planes;
  readonly to: Planes;
  readonly padding: readonly [number, number];
  /** Whether the weight is that of the convolution whose gradient this is: [from, to, 3, 3], and each filter turned. */
  readonly turned: boolean;
}

export type WinogradRule = (convolution: Winograd) => boolean;
type Emitted = Record<string, (...args: number[]) => void>;

/** Addresses; a bias of 0 is none. */
interface Operands {
  readonly from: number;
  readonly weight: number;
  readonly bias: number;
  readonly to: number;
  readonly accumulate: number;
}

/** Columns of a product that stand in registers at once, as in gemm.ts: with two rows 14 of the 16 registers of x64. */
const panelColumns = 16;

/**
 * M = U V in each position: `rows` of U, `taps` deep, and `panels` of 16 columns of V. Rows of V and M lie `row` apart,
 * positions the planes apart. U comes from `filters`. The inner loop is gemm's, but V is read where it stands.
 */
function defineProducts(module: WasmModule): Callable {
  const parameters = {
    ...({ u: 'i32', v: 'i32', m: 'i32', rows: 'i32', taps: 'i32', panels: 'i32', row: 'i32' } as const),
    ...({ uPlane: 'i32', vPlane: 'i32', mPlane: 'i32' } as const),
  };
  return module.define('products', parameters, (args, code) => {
    const { u, v, m, rows, taps, panels, row, uPlane, vPlane, mPlane } = args;
    for (const elements of [u, v, m, row, uPlane, vPlane, mPlane]) code.set(elements, bytes(elements));
    const position = code.local(0);
    const panelEnd = code.local(0);
    const [panel, target, pair, a, b, end] = counters(code, 6);
    const sums = vectors(code, 8);
    const columns = vectors(code, 4);
    const factors = vectors(code, 2);
    const depth = code.local(i32.mul(taps, row));
    code.for(position, 0, 16, 1, () => {
      code.set(panelEnd, i32.add(v, i32.mul(panels, 4 * panelColumns)));
      code.for(panel, v, panelEnd, 4 * panelColumns, () => {
        code.set(target, i32.add(m, i32.sub(panel, v)));
        code.set(a, u);
        code.for(pair, 0, rows, panelRows, () => {
          for (const sum of sums) code.set(sum, zero);
          code.set(end, i32.add(panel, depth));
          code.for(b, panel, end, row, () => {
            columns.forEach((column, j) => {
              code.set(column, v128.load(b, 16 * j));
            });
            factors.forEach((factor, i) => {
              code.set(factor, v128.load32Splat(a, 4 * i));
            });
            factors.forEach((factor, i) => {
              columns.forEach((column, j) => {
                const sum = sums[4 * i + j]!;
                code.set(sum, f32x4.add(sum, f32x4.mul(factor, column)));
              });
            });
            code.advance(a, 4 * panelRows);
          });
          for (let i = 0; i < panelRows; i++) {
            for (let j = 0; j < 4; j++) code.store(target, sums[4 * i + j]!, 16 * j);
            code.advance(target, row);
          }
        });
      });
      code.advance(u, uPlane);
      code.advance(v, vPlane);
      code.advance(m, mPlane);
    });
  });
}

export function defineWinograd(module: WasmModule, pad: Callable): void {
  defineFilters(module, 'filters');
  defineFilters(module, 'turnedFilters');
  defineInput(module, pad);
  defineProducts(module);
  defineOutput(module);
}

/** V and M of a block: 256 KiB, but at least one panel, and no more than 15 (from 64 KiB to 1 MiB it makes no difference). */
const blockElements = 1 << 16;
const blockPanels = 15;
/** Old sums that are kept, whole images, until it is known that what is added to them is finite: about 256 KiB. */
const keptElements = 1 << 16;

const line = 16;
const wholeLines = (elements: number) => line * Math.ceil(elements / line);
const oddLines = (elements: number) => line * (Math.ceil(elements / line) | 1);
const sizeOf = ({ channels, height, width }: Planes) => channels * height * width;

/**
 * Convolves all images. Returns those whose output is not all finite, and which must be computed in another way; where
 * the output was to be added, they are as they were before.
 */
function convolve(emitted: Emitted, environment: Environment, convolution: Winograd, operands: Operands): number[] {
  const { images, groups, from, to, padding, turned } = convolution;
  const { accumulate } = operands;
  const [tilesY, tilesX] = [Math.ceil(to.height / 2), Math.ceil(to.width / 2)];
  const tilesOfImage = tilesY * tilesX;
  const imageSize = groups * sizeOf(to);
  const together = accumulate ? Math.min(images, Math.ceil(keptElements / imageSize)) : images;

  const fitting = Math.floor(blockElements / (16 * panelColumns * (from.channels + to.channels)));
  const panels = Math.min(fitting, blockPanels, Math.ceil((together * tilesOfImage) / panelColumns));
  const block = Math.max(1, panels) * panelColumns;
  // Four tiles are written at a time, so a row of V wants room behind its last column.
  const row = oddLines(block + line);
  const uRows = to.channels + (to.channels % 2);
  const uPlane = oddLines(uRows * from.channels);
  const vPlane = oddLines(from.channels * row);
  const mPlane = oddLines(uRows * row);
  const [paddedHeight, paddedWidth] = [2 * tilesY + 2, 2 * tilesX + 2];

  const sizes = [
    ...[images, paddedHeight * paddedWidth + 2 * line, 16 * uPlane, 16 * vPlane, 16 * mPlane],
    accumulate ? together * imageSize : 0,
  ].map(wholeLines);
  const room = environment.scratch(sizes.reduce((sum, size) => sum + size));
  const [finite, padded, u, v, m, kept] = sizes.map((_, index) =>
    sizes.slice(0, index).reduce((sum, size) => sum + size, room),
  ) as [number, number, number, number, number, number];
  const floats = new Float32Array(environment.memory.buffer);
  floats.fill(0, finite, u);

  /** The images from `first` up to `end`, one group of channels. */
  const convolveGroup = (group: number, first: number, end: number) => {
    const weight = operands.weight + group * from.channels * to.channels * 9;
    const [rowStep, tapStep] = turned ? [9, 9 * to.channels] : [9 * from.channels, 9];
    emitted[turned ? 'turnedFilters' : 'filters']!(weight, rowStep, tapStep, to.channels, from.channels, u, uPlane);
    const bias = operands.bias === 0 ? 0 : operands.bias + group * to.channels;
    const source = [
      operands.from + group * sizeOf(from),
      groups * sizeOf(from),
      from.channels,
      from.height,
      from.width,
    ];
    const target = [operands.to + group * sizeOf(to), imageSize, to.channels, to.height, to.width];
    for (let start = first * tilesOfImage; start < end * tilesOfImage; start += block) {
      const count = Math.min(block, end * tilesOfImage - start);
      const tiles = [start, count, tilesOfImage, tilesX];
      emitted.input!(...source, ...padding, padded, paddedHeight, paddedWidth, ...tiles, v, row, vPlane);
      const columns = Math.ceil(count / panelColumns);
      emitted.products!(u, v, m, to.channels, from.channels, columns, row, uPlane, vPlane, mPlane);
      emitted.output!(m, row, mPlane, bias, ...tiles, ...target, accumulate, finite);
    }
  };

  const again: number[] = [];
  for (let first = 0; first < images; first += together) {
    const end = Math.min(images, first + together);
    if (accumulate) floats.copyWithin(kept, operands.to + first * imageSize, operands.to + end * imageSize);
    for (let group = 0; group < groups; group++) convolveGroup(group, first, end);
    for (let n = first; n < end; n++) {
      if (floats[finite + n] === 0) continue;
      again.push(n);
      const old = kept + (n - first) * imageSize;
      if (accumulate) floats.copyWithin(operands.to + n * imageSize, old, old + imageSize);
    }
  }
  return again;
}

/**
 * Whether this way is faster, judged by one image, so that the batch does not change the bits. By columns -> by tiles, in
 * microseconds an image (Node 24, one core of a shared EPYC, the least of many runs; channels of image and output, padding
 * 1; "gradient" is that of the image):
 *
 *                         forward, batch 8   forward, batch 1   gradient, batch 8
 *         1, 16  28x28        8.3 -> 9.7        12 -> 17            7.7 -> 12
 *         2, 32  28x28         22 -> 20         24 -> 23             20 -> 22
 *         3,  8  28x28         11 -> 7.9        13 -> 11             13 -> 9.0
 *         8,  8  28x28         28 -> 15         30 -> 18             29 -> 14
 *        16, 32  14x14         40 -> 21         42 -> 27             41 -> 21
 *        64, 64  56x56       4657 -> 2159     4728 -> 2281         4707 -> 2178
 *       256,256   7x7        1589 -> 684      2203 -> 1413         1629 -> 693
 *        16, 16   5x5         4.3 -> 2.7       5.6 -> 5.7
 *        16, 16   4x4         2.4 -> 1.5       3.7 -> 5.5
 *
 * With one channel to read or, in a gradient, to write, the transforms cost more than they save; with few tiles, the filters'.
 */
export function winogradPays({ from, to, turned }: Winograd): boolean {
  return (turned ? to : from).channels >= 3 && to.height * to.width >= 25;
}

type Pair = Pick<Kernels, 'conv2d' | 'conv2dInputSlope'>;
type Sizes = Parameters<Kernels['conv2d']> extends [number, number, number, number, ...infer Rest] ? Rest : never;

/** The convolution, or the gradient of its image, as it is done here; null where it is not of this kind. */
function asWinograd(gradient: boolean, ...s: Sizes): Winograd | null {
  const [images, channels, height, width, outChannels, kernelHeight, kernelWidth, outHeight, outWidth] = s;
  const [, , , , , , , , , strideY, strideX, padY, padX, dilationY, dilationX, groups] = s;
  if (kernelHeight !== 3 || kernelWidth !== 3 || strideY * strideX * dilationY * dilationX !== 1) return null;
  if (images * channels * height * width * outChannels * outHeight * outWidth === 0) return null;
  const image = { channels: channels / groups, height, width };
  const output = { channels: outChannels / groups, height: outHeight, width: outWidth };
  if (!gradient) return { images, groups, from: image, to: output, padding: [padY, padX], turned: false };
  if (padY > 2 || padX > 2) return null;
  return { images, groups, from: output, to: image, padding: [2 - padY, 2 - padX], turned: true };
}

/** The two kernels that take this way where `pays` says so and the sizes allow it, else that `byColumns`. */
export function withWinograd(emitted: Emitted, environment: Environment, byColumns: Pair, pays: WinogradRule): Pair {
  const oneImage = ([, ...rest]: Sizes): Sizes => [1, ...rest];
  return {
    conv2d(x, weight, bias, out, ...s) {
      const convolution = asWinograd(false, ...s);
      if (!convolution || !pays(convolution)) return byColumns.conv2d(x, weight, bias, out, ...s);
      const { groups, from, to } = convolution;
      const operands = { from: x, weight, bias, to: out, accumulate: 0 };
      for (const n of convolve(emitted, environment, convolution, operands)) {
        const [image, output] = [x + n * groups * sizeOf(from), out + n * groups * sizeOf(to)];
        byColumns.conv2d(image, weight, bias, output, ...oneImage(s));
      }
    },
    conv2dInputSlope(g, weight, out, accumulate, ...s) {
      const convolution = asWinograd(true, ...s);
      if (!convolution || !pays(convolution)) return byColumns.conv2dInputSlope(g, weight, out, accumulate, ...s);
      const { groups, from, to } = convolution;
      const operands = { from: g, weight, bias: 0, to: out, accumulate };
      for (const n of convolve(emitted, environment, convolution, operands)) {
        const [output, image] = [g + n * groups * sizeOf(from), out + n * groups * sizeOf(to)];
        byColumns.conv2dInputSlope(output, weight, image, accumulate, ...oneImage(s));
      }
    },
  };
}
