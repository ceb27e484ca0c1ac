/**
 * A hundred thousand steps without any scope: after the first thousand, neither kernel memory nor the heap grows. Each
 * loop runs in one job, in which no finalizer runs: only what is given back counts.
 */
import { describe, expect, it } from 'vitest';
import {
  Adam,
  crossEntropy,
  Generator,
  Linear,
  manualSeed,
  memoryInUse,
  ReLU,
  randn,
  Sequential,
  SGD,
  type Tensor,
  zeros,
} from '../../src/index.ts';

const gc = globalThis.gc as () => void;
const [settled, steps] = [1000, 100_000];
const allowed = 5e6;

function heapUsed(): number {
  gc();
  gc();
  const { heapUsed: objects, arrayBuffers } = process.memoryUsage();
  return objects + arrayBuffers;
}

const network = (): Sequential => {
  manualSeed(1);
  return new Sequential(new Linear(16, 32), new ReLU(), new Linear(32, 10));
};

/** Runs `step` and holds its memory to what it was after the first thousand. */
function expectFlat(name: string, step: (i: number) => void, count = steps): void {
  for (let i = 0; i < settled; i++) step(i);
  const [wasmBefore, heapBefore] = [memoryInUse(), heapUsed()];
  const start = performance.now();
  let wasmPeak = 0;
  let heapPeak = 0;
  for (let i = settled; i < count; i++) {
    step(i);
    wasmPeak = Math.max(wasmPeak, memoryInUse() - wasmBefore);
    if (i % 20_000 === 0) heapPeak = Math.max(heapPeak, heapUsed() - heapBefore);
  }
  const seconds = (performance.now() - start) / 1000;
  heapPeak = Math.max(heapPeak, heapUsed() - heapBefore);
  console.log(
    `${name}: ${count} steps in ${seconds.toFixed(1)} s; kernel memory ${(wasmBefore / 1e6).toFixed(1)} MB, grew by at most ` +
      `${(wasmPeak / 1e6).toFixed(2)} MB; heap ${(heapBefore / 1e6).toFixed(1)} MB, grew by at most ${(heapPeak / 1e6).toFixed(2)} MB`,
  );
  expect(wasmPeak).toBeLessThan(allowed);
  expect(heapPeak).toBeLessThan(allowed);
}

const generator = new Generator(7);
const draw = (batch: number): Tensor => randn([batch, 16], { generator });
const labelsOf = (batch: number): Int32Array => Int32Array.from({ length: batch }, (_, i) => i % 10);

describe('a hundred thousand steps of 16-32-10', () => {
  it('plain', () => {
    const model = network();
    const optimizer = new SGD(model.parameters(), { lr: 0.01 });
    const labels = labelsOf(8);
    expectFlat('plain', () => {
      const loss = crossEntropy(model.forward(draw(8)), labels);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    });
  });

  it('with logits kept for replay in a ring', () => {
    const model = network();
    const optimizer = new SGD(model.parameters(), { lr: 0.01 });
    const labels = labelsOf(8);
    const ring: { x: Tensor; logits: Tensor }[] = [];
    let replayed = 0;
    expectFlat('replay', (i) => {
      const x = draw(8);
      const logits = model.forward(x);
      let loss = crossEntropy(logits, labels);
      const old = ring[i % 64];
      if (old !== undefined && i % 4 === 0) {
        loss = loss.add(model.forward(old.x).sub(old.logits.detach()).square().mean().mul(0.1));
        replayed++;
      }
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      ring[i % 64] = { x, logits };
    });
    expect(replayed).toBeGreaterThan(20_000);
    for (const { logits } of ring) expect(logits.toFloat32Array().every(Number.isFinite)).toBe(true);
  });

  it('with batches of changing size', () => {
    const model = network();
    const optimizer = new SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
    expectFlat('changing batches', (i) => {
      const batch = 1 + ((i * 7919) % 64);
      const loss = crossEntropy(model.forward(draw(batch)), labelsOf(batch));
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    });
  });

  it('with Adam', () => {
    const model = network();
    const optimizer = new Adam(model.parameters(), { lr: 0.001 });
    const labels = labelsOf(8);
    expectFlat('Adam', () => {
      const loss = crossEntropy(model.forward(draw(8)), labels);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    });
  });

  it('large enough for every step to close its region', () => {
    manualSeed(1);
    const model = new Sequential(new Linear(16, 256), new ReLU(), new Linear(256, 10));
    const optimizer = new Adam(model.parameters(), { lr: 0.001 });
    const labels = labelsOf(16);
    expectFlat(
      'wide',
      () => {
        const loss = crossEntropy(model.forward(draw(16)), labels);
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
      },
      30_000,
    );
  });
});

describe('without backward, outside noGrad', () => {
  it('forward passes of a tiny network keep the ordinary heap bounded, within one job', () => {
    manualSeed(1);
    const model = new Sequential(new Linear(4, 5), new ReLU(), new Linear(5, 1));
    const x = zeros([1, 4]);
    for (let i = 0; i < 50_000; i++) model.forward(x);
    const before = heapUsed();
    let peak = 0;
    for (let i = 0; i < 400_000; i++) {
      model.forward(x);
      if (i % 50_000 === 0) peak = Math.max(peak, heapUsed() - before);
    }
    console.log(`forward only: the heap grew by at most ${(peak / 1e6).toFixed(1)} MB`);
    // One open region: up to 65536 nodes with their tensors, and the tokens of closed ones.
    expect(peak).toBeLessThan(8e7);
  });
});
