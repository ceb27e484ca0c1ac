/** Import to first result; argument: where the built library's index.js stands. */

import { readFileSync } from 'node:fs';

const { size, a, b } = JSON.parse(readFileSync(0, 'utf8'));
const start = performance.now();
const { matmul, tensor } = await import(process.argv[2]);
const shape = [size, size];
const product = matmul(tensor(a, shape), tensor(b, shape)).toFloat32Array();
const seconds = (performance.now() - start) / 1000;
console.log(JSON.stringify({ seconds, product: [...product] }));
