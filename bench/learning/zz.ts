import { Adam, Conv2d, crossEntropy, Flatten, Generator, Linear, MaxPool2d, ReLU, randn, Sequential, manualSeed, setMemoryLimit, memoryInUse } from '../../src/index.ts';
manualSeed(3);
const g = new Generator(1);
const S = 64;
const m = new Sequential(new Conv2d(1, 64, 3, { padding: 1 }), new ReLU(),  new Conv2d(64, 64, 3, { padding: 1 }), new ReLU(), new MaxPool2d(2), new Flatten(), new Linear(64 * (S / 2) ** 2, 10));
const o = new Adam(m.parameters());
for (let i = 0; i < 4; i++) {
  const loss = crossEntropy(m.forward(randn([64, 1, S, S], { generator: g })), Int32Array.from({ length: 64 }, (_, k) => k % 10));
  o.zeroGrad(); loss.backward(); o.step(); console.log(i, loss.item(), memoryInUse() / 2**20);
}
