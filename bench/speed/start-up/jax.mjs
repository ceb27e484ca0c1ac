/** Import to first result; argument: jit or eager. */

import { readFileSync } from 'node:fs';

if (!('navigator' in globalThis)) throw new Error('jax-js needs Node 21 or newer');
const { size, a, b } = JSON.parse(readFileSync(0, 'utf8'));
const start = performance.now();
const { jit, numpy } = await import('@jax-js/jax');
const shape = [size, size];
const multiply = process.argv[2] === 'jit' ? jit(numpy.matmul) : numpy.matmul;
const [x, y] = [a, b].map((data) => numpy.array(new Float32Array(data), { shape }));
const product = multiply(x, y).dataSync();
const seconds = (performance.now() - start) / 1000;
console.log(JSON.stringify({ seconds, product: [...product] }));
