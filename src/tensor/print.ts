/**
 * How a tensor looks: values aligned in brackets, shortened in the middle as NumPy does, then its shape and how it
 * came to be.
 */
import { showShape } from './layout.ts';
import { numbersOf, type Tensor } from './tensor.ts';

/** Larger tensors are shortened to this many entries at either end of each axis. */
const edge = 3;
const shortenAbove = 1000;

/** What to append for a tensor with a history; autograd/ sets it. */
let describeHistory: (tensor: Tensor) => string = () => '';
export function setHistoryPrinter(describe: (tensor: Tensor) => string): void {
  describeHistory = describe;
}

function showNumber(x: number): string {
  if (Number.isInteger(x) && Math.abs(x) < 1e6) return `${Object.is(x, -0) ? '-0' : x}`;
  if (!Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  return size >= 1e-4 && size < 1e5 ? String(Number(x.toPrecision(5))) : x.toExponential(3);
}

export function printTensor(tensor: Tensor): string {
  let body: string;
  try {
    body = printValues(tensor);
  } catch (error) {
    body = `<${error instanceof Error ? error.name : 'unreadable'}>`;
  }
  const shape = tensor.ndim === 0 ? '' : `, shape=${showShape(tensor.shape)}`;
  return `Tensor(${body}${shape}${describeHistory(tensor)})`;
}

function printValues(tensor: Tensor): string {
  const { shape } = tensor;
  const numbers = numbersOf(tensor);
  if (numbers.length === 0) return '[]';
  const shorten = numbers.length > shortenAbove;
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const shown = (axis: number): (number | '...')[] => {
    const all = Array.from({ length: shape[axis]! }, (_, i) => i);
    return shorten && all.length > 2 * edge ? [...all.slice(0, edge), '...', ...all.slice(-edge)] : all;
  };
  const cells: string[] = [];
  const collect = (axis: number, position: number): void => {
    if (axis === shape.length) cells.push(showNumber(numbers[position]!));
    else for (const i of shown(axis)) if (i !== '...') collect(axis + 1, position + i * strides[axis]!);
  };
  collect(0, 0);
  const width = cells.reduce((widest, cell) => Math.max(widest, cell.length), 0);
  let next = 0;
  const print = (axis: number): string => {
    if (axis === shape.length) return cells[next++]!.padStart(shape.length === 0 ? 0 : width);
    const parts = shown(axis).map((i) => (i === '...' ? '...' : print(axis + 1)));
    if (axis === shape.length - 1) return `[${parts.join(', ')}]`;
    const gap = `,${'\n'.repeat(shape.length - 1 - axis)}${' '.repeat('Tensor('.length + axis + 1)}`;
    return `[${parts.join(gap)}]`;
  };
  return print(0);
}
