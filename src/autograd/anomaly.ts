/** What detectAnomaly does at each op: find the first NaN or infinity, and say who made it. */
import { readable } from '../storage/storage.ts';
import { showShape } from '../tensor/layout.ts';
import { numbersOf, type Tensor } from '../tensor/tensor.ts';

/** The line of the program that called into the library. */
export function whereCalled(): string {
  const frames = callStack();
  const own = ownFile(frames[0] ?? '');
  const outside = frames.find((frame) => ![own, null].includes(ownFile(frame)));
  return (outside ?? frames.at(-1) ?? 'an unknown place').trim().replace(/^at /, '');
}

/** All of it: nested layers are deeper than the ten frames that V8 keeps unless told otherwise. */
function callStack(): string[] {
  const settings = Error as { stackTraceLimit?: number };
  const before = settings.stackTraceLimit;
  if (before !== undefined) settings.stackTraceLimit = Infinity;
  const { stack = '' } = new Error();
  if (before !== undefined) settings.stackTraceLimit = before;
  return stack.split('\n').slice(1);
}

/** The folder of the library that a stack frame points into: frames of one build share it. null: no file (Array.map). */
function ownFile(frame: string): string | null {
  const path = /(?:\(|at )?((?:file:\/\/|https?:\/\/|\/|[A-Za-z]:\\)[^()]*?)(?::\d+)*\)?$/.exec(frame.trim())?.[1];
  return path === undefined
    ? null
    : path.replace(
        /[\\/](autograd|continual|inspect|io|nn|ops|optim|random|rules|state|storage|tensor)[\\/][^\\/]*$/,
        '',
      );
}

/** Throws if `output` holds a NaN or infinity although the operands are finite. */
export function checkFinite(op: string, operands: readonly Tensor[], output: Tensor, trace: string): void {
  const numbers = numbersOf(output);
  const position = numbers.findIndex((x) => !Number.isFinite(x));
  if (position < 0) return;
  for (const operand of operands) {
    readable(operand.storage);
    if (numbersOf(operand).some((x) => !Number.isFinite(x))) return;
  }
  throw new Error(
    `detectAnomaly: ${op} made ${numbers[position]} at [${unravel(position, output.shape).join(', ')}] of its result of ` +
      `shape ${showShape(output.shape)} from finite operands of shape ` +
      `${operands.map((operand) => showShape(operand.shape)).join(' and ')}. Called at ${trace}`,
  );
}

function unravel(position: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = position % shape[axis]!;
    position = Math.floor(position / shape[axis]!);
  }
  return index;
}
