/**
 * Writing in place: for leaves under noGrad (updates by hand) and for tensors without history (buffers). Every write
 * counts up the version of the storage, so that a graph which still needs the old numbers notices.
 */
import { mode } from '../autograd/modes.ts';
import { settle } from '../storage/context.ts';
import { run } from '../storage/dispatch.ts';
import { address, copyElements, packed, wroteTo } from '../tensor/access.ts';
import { asTensor } from '../tensor/create.ts';
import { broadcastShapes, sameShape, showShape } from '../tensor/layout.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { zip } from './binary.ts';
import { expand } from './sum.ts';

function checkWritable(op: string, target: Tensor): void {
  const { node } = target;
  if (node !== null && node.op !== null)
    throw new Error(
      `${op}: a tensor computed by ${node.op.name} is part of a graph and is not written in place. Compute a new one, or write ` +
        'to a copy of it, detach().',
    );
  if (node !== null && mode.recording)
    throw new Error(`${op}: a leaf that requires a gradient is written inside noGrad(() => ...) only.`);
  target.layout.strides.forEach((stride, axis) => {
    if (stride === 0 && target.shape[axis]! > 1 && target.size > 0)
      throw new Error(
        `${op}: axis ${axis} of this view repeats the same numbers (stride 0), so writing would set each several times. ` +
          'Write to clone() of it.',
      );
  });
}

/** The source as a tensor, after all is checked: it broadcasts to the target, and the target may be written. */
function sourceFor(op: string, target: Tensor, value: Tensor | number): Tensor {
  checkWritable(op, target);
  const source = asTensor(op, value);
  if (!sameShape(broadcastShapes(op, source.shape, target.shape), target.shape))
    throw new Error(
      `${op}: a source of shape ${showShape(source.shape)} does not fit a target of shape ${showShape(target.shape)}.`,
    );
  return source;
}

function assign(target: Tensor, source: Tensor): Tensor {
  const whole = sameShape(source.shape, target.shape) ? source : expand(source, target.shape);
  // Source and target may overlap in one storage: read everything before writing anything.
  const safe = whole.storage.root === target.storage.root ? packed(whole) : whole;
  if (target.layout.contiguous && safe.layout.contiguous) run.copy(address(safe), address(target), target.size);
  else copyElements(safe, target, 0);
  wroteTo(target);
  settle();
  return target;
}

/** target = source, which may broadcast. */
export const copy_ = (target: Tensor, source: Tensor | number): Tensor =>
  assign(target, sourceFor('copy_', target, source));

const updating =
  (op: 'add' | 'sub' | 'mul' | 'div') =>
  (target: Tensor, source: Tensor | number): Tensor =>
    assign(target, zip(op, target, sourceFor(`${op}_`, target, source)));
export const add_ = updating('add');
export const sub_ = updating('sub');
export const mul_ = updating('mul');
export const div_ = updating('div');
export const zero_ = (target: Tensor): Tensor => assign(target, sourceFor('zero_', target, 0));
export const fill_ = (target: Tensor, value: number): Tensor => assign(target, sourceFor('fill_', target, value));
