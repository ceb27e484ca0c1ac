/**
 * jax-js on its Wasm device, twice: under jit, where a task is one or a few jitted functions, and eager, where the same functions are
 * called as they are.
 *
 * Arrays are reference-counted: an operation takes one reference to each operand, `.ref` adds one, reading the numbers takes
 * one too. Each task is written so that nothing is leaked and nothing copied, in the form that was fastest of those tried.
 */

import type { Contestant, PeerName } from './harness.ts';
import { prepareArray } from './jax/arrays.ts';
import { prepareChain } from './jax/chains.ts';
import { prepareConvolution } from './jax/convolutions.ts';
import type { Jax, Way } from './jax/library.ts';
import { prepareProduct } from './jax/products.ts';
import { prepareTraining } from './jax/trainings.ts';
import { answerFor } from './rows.ts';
import { preparePeerStart } from './start-up/starts.ts';

export async function loadJax(): Promise<Contestant[]> {
  if (!('navigator' in globalThis)) throw new Error('jax-js needs Node 21 or newer');
  // Not a literal, so that the compiler does not look for the package.
  const packageName: string = '@jax-js/jax';
  const jax: Jax = await import(packageName);
  return [
    contestant('jax-jit', { jax, jitted: true, compile: (f) => jax.jit(f) }),
    contestant('jax-eager', { jax, jitted: false, compile: (f) => Object.assign(f, { dispose() {} }) }),
  ];
}

function contestant(name: PeerName, way: Way): Contestant {
  return {
    name,
    async activate() {},
    prepare: ({ task }) =>
      answerFor(
        {
          product: (product) => prepareProduct(way, product),
          training: (training) => prepareTraining(way, training),
          array: (array) => prepareArray(way, array),
          convolution: (convolution) => prepareConvolution(way, convolution),
          chain: (chain) => prepareChain(way, chain),
          start: (start) => preparePeerStart(name, start),
        },
        task,
      ),
  };
}
