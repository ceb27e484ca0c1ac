/**
 * What every platform must arrive at, to the bit. These are no truths about learning: a kernel that is written anew, with other
 * roundings, changes them, on all platforms alike. Then take the numbers that the failing tests found, on one platform, and
 * see that the others find the same.
 */
import type { RunName } from './training.ts';

/** The results of all emitted kernels on the cases of kernel-cases.ts. */
export const kernelBits = 'a70bfb8c2bb7d459c17f9f38cc62b7e1bab32d00e2615cd86c179d86c027bf78';

/** All weights after 200 steps, with the emitted kernels (`kernelSet()` is 'wasm-simd'). */
export const weightsBySimd: Readonly<Record<RunName, string>> = {
  'MLP under SGD': '5e9278ff67134583f7ac3ba7e44a9ef0cdb5827e04e163a9774568bc3fae0ff9',
  'MLP under Adam': '6f4aadc4e3e03178632d28ee6c7fa7ffad006314ffe8d453ad1bcec70ef9afd1',
  'CNN under SGD': 'd97ecfc591e93f754870ca2ba56d6965dab3bb3605fa06e2bd3a935c1fd5e0fa',
  'CNN under Adam': '11ff16cecb62048694508de57e6981afd2f7a02b7e86d973f9fd5dd41f378cb1',
};

/**
 * The same with the reference kernels. These call exp, log and their like of the engine, which may round otherwise from one
 * engine to another: here the results, rounded to float32, happen to agree on all that were tried.
 */
export const weightsByReference: Readonly<Record<RunName, string>> = {
  'MLP under SGD': '5b561093d67a44e45dae1c4a06896a5f8226484fd8567b3420f74d8c66de414b',
  'MLP under Adam': '0beebd4bf73495c4ba4b7ce9b7110ef9ecab8ca506b70487d9add205c89aba0f',
  'CNN under SGD': '01d2ab89ff817777e8a01d4c0bf8aaa93307e6efdafab44d9171dd9f253a4524',
  'CNN under Adam': '346abb427ceb3fa8a772e1b15062b695894ed8b65058fb1c70c88d1d975bd671',
};
