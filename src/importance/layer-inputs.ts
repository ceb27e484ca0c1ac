/**
 * What layers read: the inputs of every linear layer and convolution in a recorded forward pass, as the rows of a matrix.
 *
 * Row r of X, times a row of the kernel, is one number of the layer's output: of a linear layer a row is an example, of a
 * convolution the patch under the window at one place of one image. So what holds for least squares holds for both.
 */
import type { Node } from '../autograd/node.ts';
import type { ConvolutionGeometry } from '../ops/convolution.ts';
import { tensor } from '../tensor/create.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';

/** One use of a kernel in a forward pass. */
export interface LayerCall {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  /** Convolutions in groups have so many matrices; outputs g * (outputs / groups) and on read number g. */
  readonly groups: number;
  /** The numbers that the outputs of a group read: [rows, columns], row-major, columns as in the kernel. */
  rows(group: number): { readonly rows: number; readonly columns: number; readonly numbers: Float32Array };
}

const isLeaf = (x: Tensor | undefined): boolean => x?.node != null && x.node.op === null;

/** The uses of kernels, which must be parameters themselves, in the graph of an output. */
export function layerCallsOf(output: Tensor): LayerCall[] {
  const calls: LayerCall[] = [];
  const seen = new Set<Node>();
  const waiting: Tensor[] = [output];
  for (let x = waiting.pop(); x !== undefined; x = waiting.pop()) {
    const node = x.node as Node | null;
    if (node === null || node.op === null || seen.has(node)) continue;
    seen.add(node);
    waiting.push(...node.inputs);
    if ((node.op.name !== 'linear' && node.op.name !== 'conv2d') || !isLeaf(node.inputs[1])) continue;
    const [input, weight, bias] = node.inputs as [Tensor, Tensor, Tensor?];
    const geometry = node.op.name === 'conv2d' ? (node.attributes as ConvolutionGeometry) : null;
    calls.push({
      weight,
      bias: bias !== undefined && isLeaf(bias) ? bias : null,
      groups: geometry?.groups ?? 1,
      rows: geometry === null ? () => rowsOf(input, weight) : (group) => patchesOf(input, geometry, group),
    });
  }
  return calls;
}

function rowsOf(input: Tensor, weight: Tensor) {
  const columns = weight.shape[1]!;
  return { rows: input.size / columns, columns, numbers: Float32Array.from(numbersOf(input)) };
}

/** The numbers under the window, place after place; outside the image they are 0. */
function patchesOf(
  input: Tensor,
  { image, weight, output, stride, padding, dilation }: ConvolutionGeometry,
  group: number,
) {
  const [images, channels, height, width] = image;
  const [, groupChannels, kernelHeight, kernelWidth] = weight;
  const [, , down, across] = output;
  const columns = groupChannels * kernelHeight * kernelWidth;
  const rows = images * down * across;
  const numbers = new Float32Array(rows * columns);
  const pixels = numbersOf(input);
  let next = 0;
  for (let n = 0; n < images; n++)
    for (let y = 0; y < down; y++)
      for (let x = 0; x < across; x++)
        for (let c = 0; c < groupChannels; c++) {
          const plane = (n * channels + group * groupChannels + c) * height;
          for (let i = 0; i < kernelHeight; i++) {
            const row = y * stride[0] - padding[0] + i * dilation[0];
            for (let j = 0; j < kernelWidth; j++, next++) {
              const column = x * stride[1] - padding[1] + j * dilation[1];
              if (row >= 0 && row < height && column >= 0 && column < width)
                numbers[next] = pixels[(plane + row) * width + column]!;
            }
          }
        }
  return { rows, columns, numbers };
}

/** X^T X of these rows, with a column of ones behind them where a bias is added: [columns, columns]. */
export function gramOf({ rows, columns, numbers }: ReturnType<LayerCall['rows']>, withOnes: boolean): Tensor {
  const width = columns + (withOnes ? 1 : 0);
  let matrix = numbers;
  if (withOnes) {
    matrix = new Float32Array(rows * width).fill(1);
    for (let row = 0; row < rows; row++) matrix.set(numbers.subarray(row * columns, (row + 1) * columns), row * width);
  }
  const x = tensor(matrix, [rows, width]);
  return x.transpose().matmul(x);
}
