/**
 * The energy of a block,
 *
 *     F = sum over values 1/2 precision |x - mu|^2 + the energy of the messages from outside,
 *
 * its gradient with respect to the values, and to what comes in from outside (data, weights).
 *
 * The gradient is one reverse pass over the places. Into the op that predicts a value goes dF/dmu = precision (mu - x), the
 * error; so a value feels its own error and, through their ops, those of its consumers, and nothing else (Whittington &
 * Bogacz 2017). The nodes' own inboxes, empty by then, gather what a place feels.
 */
import { arithmetic } from '../../autograd/arithmetic.ts';
import type { Block, BlockNode, Evaluation } from '../../autograd/block.ts';
import { receiveGradient, slopeToAddTo } from '../../autograd/inbox.ts';
import { settle } from '../../storage/context.ts';
import { run } from '../../storage/dispatch.ts';
import { address, allocateShape, contiguous, wroteTo } from '../../tensor/access.ts';
import { numbersOf, type Tensor } from '../../tensor/tensor.ts';
import type { Place } from './places.ts';

/** Brings predictions, what consumers see, and errors up to date with the states. Frozen: errors alone. */
export function predict(places: readonly Place[], frozen: boolean): void {
  for (const place of places) {
    if (place.varies) {
      place.evaluation = place.block.evaluate(place.inputsNow());
      place.see();
    }
    const { state, precision } = place;
    if (state === null) continue;
    // Frozen: the state is x - mu itself.
    if (frozen) place.error = scaled(state, -precision);
    else {
      const difference = arithmetic.sub(place.evaluation.output, place.value);
      place.error = precision === 1 ? difference : scaled(difference, precision);
    }
  }
}

function scaled(x: Tensor, factor: number): Tensor {
  const dense = contiguous(x);
  const out = allocateShape(dense.shape);
  run.scale(address(dense), address(out), out.size, factor, 0);
  return out;
}

/** F at the states that `predict` saw, in double precision. */
export function energyOf(places: readonly Place[]): number {
  let sum = 0;
  for (const { error, precision, pull, value } of places) {
    if (error !== null) {
      let squares = 0;
      for (const e of numbersOf(error)) squares += e * e;
      sum += (0.5 * squares) / precision;
    }
    if (pull !== null) sum += pull.energy(value);
  }
  return sum;
}

/** Writes -rate dF/dx into the step of every value that moves. After `predict`. */
export function descend(places: readonly Place[], rate: number): void {
  for (let i = places.length - 1; i >= 0; i--) {
    const place = places[i] as Place;
    const { block, sources } = place;
    if (!place.moves && !sources.some((source) => source?.moves)) continue;
    const felt = place.moves ? takeFelt(place) : null;
    if (place.step !== null) setStep(place, place.step, felt, rate);
    const sent = towards(place, felt);
    if (sent === null) continue;
    for (let index = 0; index < sources.length; index++) {
      const source = sources[index];
      if (source?.moves) send(block, place.evaluation, index, sent, source);
    }
  }
  settle();
}

/** A gradient that leaves the block. */
export interface Outgoing {
  readonly node: BlockNode;
  readonly index: number;
  readonly gradient: Tensor;
}

/** dF of all that comes in from outside, at the states that `predict` saw. */
export function learned(block: Block, places: readonly Place[]): Outgoing[] {
  const outgoing: Outgoing[] = [];
  for (let i = places.length - 1; i >= 0; i--) {
    const place = places[i] as Place;
    const sent = towards(place, place.free ? null : takeFelt(place));
    if (sent === null) continue;
    for (const [index, source] of place.sources.entries()) {
      if (source !== null) {
        // What a value feels has moved it already.
        if (!source.free) send(place.block, place.evaluation, index, sent, source);
      } else if (block.wanted(place.block, index)) {
        const gradient = gradientFor(place.block, place.evaluation, index, sent);
        if (gradient !== null) outgoing.push({ node: place.block, index, gradient });
      }
    }
  }
  settle();
  return outgoing;
}

/** dF/d(what consumers see): what they sent, and what is asked from outside. Empties the inbox. */
function takeFelt({ block: { node }, pull, value }: Place): Tensor | null {
  if (pull !== null) receiveGradient(node, pull.gradient(value));
  const felt = node.slope;
  node.slope = null;
  return felt;
}

/** dF/d(the op's output): of a value its error, else what is felt there; of one that is held in part, each in its part. */
function towards({ free, clamp, error }: Place, felt: Tensor | null): Tensor | null {
  if (free) return error;
  if (clamp === null) return felt;
  const held = error as Tensor;
  const { add, where } = arithmetic;
  // Where it is not held it is its prediction, without error.
  return felt === null ? held : add(where(clamp.mask, held, clamp.zero), where(clamp.mask, clamp.zero, felt));
}

function setStep({ error, clamp }: Place, step: Tensor, felt: Tensor | null, rate: number): void {
  const own = error as Tensor;
  if (felt === null) run.scale(address(own), address(step), step.size, rate, 0);
  else {
    run.sub(address(own), 0, 1, address(contiguous(felt)), 0, 1, address(step), 1, step.size);
    run.scale(address(step), address(step), step.size, rate, 0);
  }
  if (clamp !== null) run.where(address(clamp.mask), address(clamp.zero), address(step), address(step), step.size);
  wroteTo(step);
}

/** Adds what an op sends to input `index` to the inbox of its source. */
function send(block: BlockNode, at: Evaluation, index: number, g: Tensor, { block: { node } }: Place): void {
  const raw = rawFor(block, index);
  if (raw === null) {
    const message = block.gradientFor(at, index, g);
    if (message !== null) receiveGradient(node, message);
    return;
  }
  const dense = contiguous(g);
  const adds = node.slope === null ? 0 : 1;
  const sum = slopeToAddTo(node, at.inputs[index]!.shape);
  raw(at, dense, address(sum), adds, index);
  if (adds === 1) wroteTo(sum);
  settle();
}

function gradientFor(block: BlockNode, at: Evaluation, index: number, g: Tensor): Tensor | null {
  const raw = rawFor(block, index);
  if (raw === null) return block.gradientFor(at, index, g);
  const out = allocateShape(at.inputs[index]!.shape);
  raw(at, contiguous(g), address(out), 0, index);
  settle();
  return out;
}

function rawFor({ node }: BlockNode, index: number) {
  const { raw } = node.op!;
  if (raw === undefined) return null;
  return typeof raw === 'function' ? raw : raw[index]!;
}
