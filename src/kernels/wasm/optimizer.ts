/**
 * Optimizer steps, emitted: all state of a weight is read once and written once.
 *
 * adam's factors are worked out in double precision before the loop: 1 - beta2 = 0.001 taken from a float32 beta2 would be
 * wrong in the fifth digit.
 */
import type { Kernels } from '../table.ts';
import { WasmModule } from './assembler.ts';
import type { Family } from './family.ts';
import { f32, f32x4, type Int, i32x4, v128 } from './instructions.ts';
import { single } from './single.ts';
import { type Lanes, sweep, toBytes } from './sweep.ts';

const sgdParameters = {
  ...({ w: 'i32', g: 'i32', velocity: 'i32', n: 'i32', lr: 'f32', momentum: 'f32', dampening: 'f32' } as const),
  ...({ nesterov: 'i32', weightDecay: 'f32', first: 'i32' } as const),
};

const { add, div, mul, sub } = f32x4;

function defineSgd(module: WasmModule): void {
  module.define('sgd', sgdParameters, (args, code) => {
    const { w, g, velocity, n, lr, momentum, dampening, nesterov, weightDecay, first } = args;
    toBytes(code, w, g, velocity);
    const splat = (x: typeof lr) => code.local(f32x4.splat(x));
    const mask = (flag: Int) => code.local(i32x4.neg(i32x4.splat(flag)));
    const [rate, decay] = [splat(lr), splat(weightDecay)];

    code.if(f32.eq(momentum, 0), () => {
      code.if(f32.eq(weightDecay, 0), () => {
        sweep(code, n, [w, g], ({ load, store }) => store(w, sub(load(w), mul(rate, load(g)))), 4);
        code.return();
      });
      const step = ({ load, store }: Lanes) => {
        const weight = load(w);
        store(w, sub(weight, mul(rate, add(load(g), mul(decay, weight)))));
      };
      sweep(code, n, [w, g], step, 2);
      code.return();
    });
    const keep = splat(momentum);
    const take = code.local(f32x4.splat(f32.sub(1, dampening)));
    const [isFirst, looksAhead] = [mask(first), mask(nesterov)];
    sweep(code, n, [w, g, velocity], ({ load, store }) => {
      const weight = load(w);
      const slope = code.local(add(load(g), mul(decay, weight)));
      const averaged = add(mul(keep, load(velocity)), mul(take, slope));
      const speed = code.local(v128.bitselect(slope, averaged, isFirst));
      store(velocity, speed);
      const direction = v128.bitselect(add(slope, mul(keep, speed)), speed, looksAhead);
      store(w, sub(weight, mul(rate, direction)));
    });
  });
}

/** What the emitted adam takes: `decay` is added to the slope, `shrink` acts on the weight itself (decoupled);
 * `rootInverse` is 1 / sqrt(correction2). */
const adamParameters = {
  ...({ w: 'i32', g: 'i32', m: 'i32', v: 'i32', vMax: 'i32', n: 'i32', rate: 'f32' } as const),
  ...({ keepMean: 'f32', takeMean: 'f32', keepSquare: 'f32', takeSquare: 'f32', eps: 'f32' } as const),
  ...({ decay: 'f32', shrink: 'f32', rootInverse: 'f32' } as const),
};

function defineAdam(module: WasmModule): void {
  module.define('adam', adamParameters, (args, code) => {
    const { w, g, m, v, vMax, n } = args;
    const keepsMaximum = code.local(vMax);
    toBytes(code, w, g, m, v, vMax);
    const splat = (x: typeof args.eps) => code.local(f32x4.splat(x));
    const [rate, eps, rootInverse] = [splat(args.rate), splat(args.eps), splat(args.rootInverse)];
    const [decay, shrink] = [splat(args.decay), splat(args.shrink)];
    const [keepMean, takeMean] = [splat(args.keepMean), splat(args.takeMean)];
    const [keepSquare, takeSquare] = [splat(args.keepSquare), splat(args.takeSquare)];
    sweep(code, n, [w, g, m, v, vMax], ({ load, store }) => {
      const weight = load(w);
      const slope = code.local(add(load(g), mul(decay, weight)));
      const mean = code.local(add(mul(keepMean, load(m)), mul(takeMean, slope)));
      const square = code.local(add(mul(keepSquare, load(v)), mul(mul(takeSquare, slope), slope)));
      store(m, mean);
      store(v, square);
      code.if(keepsMaximum, () => {
        code.set(square, f32x4.max(load(vMax), square));
        store(vMax, square);
      });
      const step = div(mul(rate, mean), add(mul(f32x4.sqrt(square), rootInverse), eps));
      store(w, sub(sub(weight, mul(shrink, weight)), step));
    });
  });
}

const sgdFamily = single('sgd', defineSgd);

const adamFamily: Family = {
  names: ['adam'],
  emit({ memory }) {
    const module = new WasmModule();
    defineAdam(module);
    const emitted = module.instantiate(memory).adam as (...args: number[]) => void;
    const adam: Kernels['adam'] = (w, g, m, v, vMax, n, lr, beta1, beta2, eps, weightDecay, decoupled, c1, c2) => {
      const decay = decoupled ? 0 : weightDecay;
      const shrink = decoupled ? lr * weightDecay : 0;
      const [rate, rootInverse] = [lr / c1, 1 / Math.sqrt(c2)];
      emitted(w, g, m, v, vMax, n, rate, beta1, 1 - beta1, beta2, 1 - beta2, eps, decay, shrink, rootInverse);
    };
    return { adam };
  },
};

export const optimizerFamilies: readonly Family[] = [sgdFamily, adamFamily];
