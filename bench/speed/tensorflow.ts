/**
 * TensorFlow.js: its CPU and its Wasm backend, each a contestant of its own in one instance of the library. Every tensor that
 * a call makes is disposed in it, or given back by `tidy` where there are several.
 */

import { createRequire } from 'node:module';
import type { Contestant, PeerName } from './harness.ts';
import { answerFor } from './rows.ts';
import { preparePeerStart } from './start-up/starts.ts';
import { prepareArray } from './tensorflow/arrays.ts';
import { prepareChain } from './tensorflow/chains.ts';
import { prepareConvolution } from './tensorflow/convolutions.ts';
import type { TensorFlow } from './tensorflow/library.ts';
import { prepareProduct } from './tensorflow/products.ts';
import { prepareTraining } from './tensorflow/trainings.ts';

export function loadTensorFlow(): Contestant[] {
  const require = createRequire(import.meta.url);
  const tf: TensorFlow = require('@tensorflow/tfjs');
  require('@tensorflow/tfjs-backend-wasm');
  tf.enableProdMode();
  return [contestant(tf, 'tfjs-cpu', 'cpu'), contestant(tf, 'tfjs-wasm', 'wasm')];
}

function contestant(tf: TensorFlow, name: PeerName, backend: 'cpu' | 'wasm'): Contestant {
  return {
    name,
    async activate() {
      if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js cannot start its ${backend} backend`);
    },
    prepare: ({ task }) =>
      answerFor(
        {
          product: (product) => prepareProduct(tf, product),
          training: (training) => prepareTraining(tf, training),
          array: (array) => prepareArray(tf, array),
          convolution: (convolution) => prepareConvolution(tf, convolution),
          chain: (chain) => prepareChain(tf, chain),
          start: (start) => preparePeerStart(name, start),
        },
        task,
      ),
  };
}
