/** What the page of these tests is: isolated from other origins or not, as the server's headers say. */
import { expect, inject, it } from 'vitest';
import { kernelSet } from '../../src/index.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Whether this page is served with the headers that isolate it. */
    isolated: boolean;
  }
}

it('the page is isolated from other origins if its headers say so, and the kernels are the same either way', () => {
  expect(globalThis.crossOriginIsolated).toBe(inject('isolated'));
  expect(typeof SharedArrayBuffer).toBe(inject('isolated') ? 'function' : 'undefined');
  expect(kernelSet()).toBe('wasm-simd');
});
