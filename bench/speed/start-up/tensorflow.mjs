/** Import to first result; argument: the backend, cpu or wasm. The Wasm backend reads its .wasm file when it starts. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const backend = process.argv[2];
const { size, a, b } = JSON.parse(readFileSync(0, 'utf8'));
const start = performance.now();
const tf = require('@tensorflow/tfjs-core');
require(`@tensorflow/tfjs-backend-${backend}`);
tf.enableProdMode();
await tf.setBackend(backend);
const shape = [size, size];
const product = tf.matMul(tf.tensor(a, shape), tf.tensor(b, shape)).dataSync();
const seconds = (performance.now() - start) / 1000;
console.log(JSON.stringify({ seconds, product: [...product] }));
