/** Every kernel of the table, on the heap that programs use: equal to its reference, and the same bits on every platform. */
import { describe, expect, it, vi } from 'vitest';
import { referenceKernels } from '../../src/kernels/reference/table.ts';
import { supportsWasm } from '../../src/kernels/wasm/table.ts';
import { within } from '../kernels/twin.ts';
import { kernelBits } from './expected.ts';
import { kernelNames, Table } from './kernel-cases.ts';
import { hashOf } from './training.ts';

const table = new Table();
const close = within(2e-5);

/** These two are the engine's own power function on every heap. */
const ofTheEngine: readonly string[] = ['pow', 'powScalar'];

describe('the kernels of this platform', () => {
  it.each(kernelNames)('%s does what its reference does', (name) => {
    for (const { args, before, after, from, isInteger } of table.run(name)) {
      const floats = before.slice();
      const memory = { floats, ints: new Int32Array(floats.buffer) };
      (referenceKernels(memory)[name] as (...args: number[]) => void)(...(args as number[]));
      const ints = new Int32Array(after.buffer);
      for (let i = 0; i < after.length; i++) {
        const [found, expected] = [after[i]!, memory.floats[from + i]!];
        const agree = ints[i] === memory.ints[from + i] || (!isInteger(from + i) && close(found, expected));
        if (!agree) expect.fail(`${name}(${args.join(', ')}) at ${from + i}: ${found}, by its reference ${expected}`);
      }
      // A case in which nothing was to be done would hold everywhere.
      expect(after.some((value, i) => value !== before[from + i])).toBe(true);
    }
  });

  it('give the same bits as on all other platforms', async () => {
    const names = kernelNames.filter((name) => !ofTheEngine.includes(name)).sort();
    const results = names.flatMap((name) => table.run(name).map(({ after }) => after));
    expect(await hashOf(results)).toBe(kernelBits);
  });
});

describe('whether kernels can be compiled', () => {
  /** Runs `body` where modules of more than `limit` bytes are refused; the sizes of those that were asked for. */
  function withLimit(limit: number, body: () => void): number[] {
    const asked: number[] = [];
    vi.stubGlobal('WebAssembly', {
      ...{ Instance: WebAssembly.Instance, Memory: WebAssembly.Memory },
      Module: new Proxy(WebAssembly.Module, {
        construct(target, [bytes]: [Uint8Array<ArrayBuffer>]) {
          asked.push(bytes.length);
          if (bytes.length > limit) throw new RangeError(`refused: more than ${limit} bytes`);
          return new target(bytes);
        },
      }),
    });
    try {
      body();
    } finally {
      vi.unstubAllGlobals();
    }
    return asked;
  }

  it('is tried on a module longer than all of them, once', () => {
    const probe = withLimit(Number.POSITIVE_INFINITY, () => expect(supportsWasm()).toBe(true));
    expect(probe).toHaveLength(1);
    const modules = withLimit(Number.POSITIVE_INFINITY, () => {
      const fresh = new Table();
      for (const name of kernelNames) fresh.run(name);
    });
    expect(modules.length).toBeGreaterThan(20);
    expect(Math.max(...modules)).toBeLessThan(probe[0]!);
  });

  it('is no, where only short modules are allowed', () => {
    withLimit(4096, () => expect(supportsWasm()).toBe(false));
  });
});
