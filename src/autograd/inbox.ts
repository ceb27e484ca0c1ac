/**
 * The inbox of a value: the sum of all messages that its consumers send it in a backward walk (message.ts says what they
 * are and how they add). g is the node's `slope`; p and r are its `springs`, which do not exist until a target comes: a
 * graph of gradients alone costs what plain backpropagation costs. Messages are summed in the fixed order of the consumers,
 * so the bits are the same every time.
 */
import { run } from '../storage/dispatch.ts';
import { address, allocateShape, contiguous, packed, wroteTo } from '../tensor/access.ts';
import { showShape } from '../tensor/layout.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { arithmetic } from './arithmetic.ts';
import { addSprings, type Message, type Springs } from './message.ts';
import { mode } from './modes.ts';
import type { Node } from './node.ts';

/** Adds a message of any kind. */
export function receive(inbox: Node, { slope, springs }: Message): void {
  if (slope !== null) receiveGradient(inbox, slope);
  if (springs !== null) receiveSprings(inbox, springs);
}

/** Adds a gradient. With recording on (derivatives of derivatives) the sum is recorded too. */
export function receiveGradient(inbox: Node, g: Tensor): void {
  const { slope } = inbox;
  if (mode.recording) {
    inbox.slope = slope === null ? g : arithmetic.add(slope, g);
    inbox.ownsSlope = false;
  } else if (slope === null) {
    // A leaf keeps its gradient beyond the walk, and people change it in place (clipping): it gets a copy of its own.
    const own = inbox.op === null;
    setSlope(inbox, own ? packed(g) : g, own);
  } else {
    const sum = ownSlope(inbox, slope);
    const target = address(sum);
    const from = address(contiguous(g));
    run.add(target, 0, 1, from, 0, 1, target, 1, sum.size);
    wroteTo(sum);
  }
}

/**
 * Where a raw gradient kernel writes its message, or adds it, if there is a slope already: contiguous, of `shape`. After
 * adding, its caller says wroteTo.
 */
export function slopeToAddTo(inbox: Node, shape: readonly number[]): Tensor {
  const { slope } = inbox;
  if (slope !== null) return ownSlope(inbox, slope);
  const fresh = allocateShape(shape);
  setSlope(inbox, fresh, true);
  return fresh;
}

function setSlope(inbox: Node, slope: Tensor, own: boolean): void {
  inbox.slope = slope;
  inbox.ownsSlope = own;
  outlive(inbox, slope);
}

/** What arrives at a leaf outlives its region: the leaf is told when that goes. */
function outlive(inbox: Node, message: Tensor): void {
  if (inbox.op === null) message.storage.region.addDependent(inbox);
}

/** The slope so far as something that may be changed in place: a copy, if others look at the same numbers. */
function ownSlope(inbox: Node, slope: Tensor): Tensor {
  if (inbox.ownsSlope && slope.layout.contiguous) return slope;
  const copy = packed(slope);
  setSlope(inbox, copy, true);
  return copy;
}

/** Adds targets. */
export function receiveSprings(inbox: Node, springs: Springs): void {
  if (inbox.op === null) {
    // Springs are displacements from the value as it stands now: a write makes them stale.
    if (inbox.springs !== null) checkFresh(inbox);
    else inbox.versions = inbox.output.storage.root.version;
  }
  const sum = addSprings(inbox.springs, springs)!;
  inbox.springs = sum;
  for (const kept of sum.tensors) outlive(inbox, kept);
}

/** Throws if the springs of a parameter were sent before its last write: their displacements start from the old value. */
export function checkFresh({ output, versions, springs }: Node): void {
  if (springs !== null && output.storage.root.version !== versions)
    throw new Error(
      `target: a parameter of shape ${showShape(output.shape)} was written after targets were sent to it, so their displacements ` +
        'start from a value that is gone. Clear them (zeroGrad) and call backward again after a write.',
    );
}

/** Runs `body` with these inboxes empty, and puts back what lay in them, whatever happens: for looking at a walk. */
export function withEmptyInboxes<Result>(inboxes: readonly Node[], body: () => Result): Result {
  const before = inboxes.map(({ slope, ownsSlope, springs, versions }) => ({ slope, ownsSlope, springs, versions }));
  for (const inbox of inboxes) inbox.slope = inbox.springs = null;
  try {
    return body();
  } finally {
    for (const [i, inbox] of inboxes.entries()) Object.assign(inbox, before[i]);
  }
}
