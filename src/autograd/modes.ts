/**
 * Modes: is the graph being recorded, are results watched for NaN. They change for the duration of a call only.
 */
import { inFrame } from '../storage/context.ts';
import type { Storage } from '../storage/storage.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { RuleScope } from './rule.ts';

export const mode = {
  /** Whether ops whose inputs have a node record one. */
  recording: true,
  /** Whether ops check their results for NaN and infinity, and remember where they were called. */
  anomaly: false,
  /** Under detectAnomaly, where the op was called whose gradient is being computed; null outside of rules. */
  within: null as string | null,
  /** The rules of the scopes around, by the name of the op; null: the gradient rule everywhere. */
  rules: null as RuleScope | null,
  /** Whether springs keep their energy 1/2 sum p d^2 (an energy monitor asks for it). */
  energy: false,
  /** Told of the operands of every op: what a check of locality listens to. */
  watch: null as ((operands: readonly Tensor[], output: Tensor) => void) | null,
  /** Depth of transforms (grad of grad): inside one, gradients are recorded too. */
  depth: 0,
};

/**
 * Runs `body` without recording, and gives back all memory that it took but what it returns (a tensor, or arrays and
 * objects that hold tensors). For evaluation, and for changing parameters by hand.
 *
 *     const accuracy = noGrad(() => model.forward(x).argmax(1));
 *
 * Synchronous: a callback that returns a promise is an error.
 */
export function noGrad<Result>(body: () => Result): Result {
  const before = mode.recording;
  mode.recording = false;
  try {
    return inFrame('noGrad', body, storagesOf);
  } finally {
    mode.recording = before;
  }
}

/**
 * Runs `body` and gives back all memory that it took but what it returns. The graph recorded inside goes too: backward
 * through it must happen inside.
 */
export function scope<Result>(body: () => Result): Result {
  return inFrame('scope', body, storagesOf);
}

/**
 * Runs `body` and throws at the first operation, forward or backward, whose result holds a NaN or an infinity that was
 * not in its operands. The error names the operation and the line of the program that called it. Slow: for finding
 * errors.
 */
export function detectAnomaly<Result>(body: () => Result): Result {
  const before = mode.anomaly;
  mode.anomaly = true;
  try {
    return body();
  } finally {
    mode.anomaly = before;
  }
}

/** Runs `body` with recording on or off. */
export function withRecording<Result>(on: boolean, body: () => Result): Result {
  const before = mode.recording;
  mode.recording = on;
  try {
    return body();
  } finally {
    mode.recording = before;
  }
}

/** The storages of all tensors in a result: itself, or within arrays, maps, sets and the fields of objects. */
function storagesOf(result: unknown): readonly Storage[] {
  if (typeof result !== 'object' || result === null || ArrayBuffer.isView(result)) return [];
  if (result instanceof Tensor) return [result.storage];
  const found: Storage[] = [];
  const seen = new Set<object>();
  const visit = (value: unknown): void => {
    if (value instanceof Tensor) {
      found.push(value.storage);
      return;
    }
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || seen.has(value)) return;
    seen.add(value);
    if (Array.isArray(value) || value instanceof Set) for (const inner of value) visit(inner);
    else if (value instanceof Map) for (const inner of value.values()) visit(inner);
    else for (const inner of Object.values(value)) visit(inner);
  };
  visit(result);
  return found;
}
