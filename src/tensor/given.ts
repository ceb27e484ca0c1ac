/** What must be given, and is not: one sentence for all functions that take options or collections. */
import { kindOf } from './tensor.ts';

/**
 * The argument itself, if it is an object (options, a list, a model); else an error that shows how to call.
 *
 * @param call an example, `ewc({ lambda: 100 })`; what stands before its bracket is who complains
 */
export function given<Value>(call: string, what: string, value: Value): NonNullable<Value> {
  if (typeof value === 'object' && value !== null) return value;
  const who = call.replace(/^new /, '').split('(')[0];
  throw new TypeError(
    `${who}: ${what} ${value === undefined ? 'are missing' : `must be an object, not ${kindOf(value)}`}. For example: ${call}.`,
  );
}
