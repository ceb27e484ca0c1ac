/**
 * 2-d pools and their gradients, emitted.
 *
 * The common pool (2 x 2, stride 2, no padding) takes four windows at a time: shuffles part the even from the odd columns
 * of its two rows, so that lane i of four vectors holds the four pixels of window i. Every other geometry goes window by
 * window. Gradients are scattered one number at a time into a cleared image.
 *
 * A candidate beats the best so far when it is larger, or when it is NaN and the best is not: the first maximum wins.
 */
import type { Kernels } from '../table.ts';
import { type Code, type Local, WasmModule } from './assembler.ts';
import type { Family } from './family.ts';
import { type F32, f32, f32x4, type I32, i32, i32x4, type V128, v128 } from './instructions.ts';

const sizes = {
  ...({ planes: 'i32', height: 'i32', width: 'i32', kernelHeight: 'i32', kernelWidth: 'i32' } as const),
  ...({ outHeight: 'i32', outWidth: 'i32', strideY: 'i32', strideX: 'i32', padY: 'i32', padX: 'i32' } as const),
};
type Pointer = Local<'i32'>;
type Sizes = { [Name in keyof typeof sizes]: Pointer };

const bytes = (elements: I32) => i32.shl(elements, 2);
const both = (a: I32, ...others: I32[]): I32 => others.reduce((all, one) => i32.and(all, one), a);

/** Whether the windows are 2 x 2, side by side and inside the plane, at least four in a row. */
function isHalving(s: Sizes): I32 {
  const kernel = both(i32.eq(s.kernelHeight, 2), i32.eq(s.kernelWidth, 2));
  const stride = both(i32.eq(s.strideY, 2), i32.eq(s.strideX, 2), i32.eqz(i32.or(s.padY, s.padX)));
  const inside = both(i32.leS(i32.shl(s.outHeight, 1), s.height), i32.leS(i32.shl(s.outWidth, 1), s.width));
  return both(kernel, stride, inside, i32.geS(s.outWidth, 4));
}

/**
 * The halving pool, four windows a step. `visit` gets their pixels (top left, top right, bottom left, bottom right), the
 * positions of the four top left pixels in the plane, and the number of the first window in bytes. The last step of a row
 * may repeat windows of the one before.
 */
function forEachFourSquares(
  code: Code,
  x: I32,
  { planes, height, width, outHeight, outWidth }: Sizes,
  visit: (pixels: [V128, V128, V128, V128], positions: Local<'v128'>, window: Pointer) => void,
): void {
  const [plane, oy, ox, last, window] = [code.local(0), code.local(0), code.local(0), code.local(0), code.local(0)];
  const planeStart = code.local(bytes(x));
  const rowBytes = code.local(bytes(width));
  const [above, below] = [code.local(0), code.local(0)];
  const positions = code.local(i32x4.splat(0));
  const parts = Array.from({ length: 4 }, () => code.local(f32x4.splat(0)));
  const [topLow, topHigh, bottomLow, bottomHigh] = parts as [
    Local<'v128'>,
    Local<'v128'>,
    Local<'v128'>,
    Local<'v128'>,
  ];
  const even = (low: V128, high: V128) => v128.shuffle32(low, high, [0, 2, 4, 6]);
  const odd = (low: V128, high: V128) => v128.shuffle32(low, high, [1, 3, 5, 7]);
  code.set(last, i32.sub(outWidth, 4));
  code.for(plane, 0, planes, 1, () => {
    code.for(oy, 0, outHeight, 1, () => {
      const row = i32.shl(oy, 1);
      const firstWindow = i32.mul(i32.add(i32.mul(plane, outHeight), oy), outWidth);
      code.for(ox, 0, outWidth, 4, () => {
        code.set(ox, i32.min(ox, last));
        const column = i32.shl(ox, 1);
        code.set(above, i32.add(planeStart, i32.add(i32.mul(row, rowBytes), bytes(column))));
        code.set(below, i32.add(above, rowBytes));
        code.set(topLow, v128.load(above));
        code.set(topHigh, v128.load(above, 16));
        code.set(bottomLow, v128.load(below));
        code.set(bottomHigh, v128.load(below, 16));
        code.set(positions, i32x4.add(i32x4.splat(i32.add(i32.mul(row, width), column)), i32x4.const(0, 2, 4, 6)));
        code.set(window, bytes(i32.add(firstWindow, ox)));
        const top = [even(topLow, topHigh), odd(topLow, topHigh)] as const;
        visit([...top, even(bottomLow, bottomHigh), odd(bottomLow, bottomHigh)], positions, window);
      });
    });
    code.advance(planeStart, i32.mul(height, rowBytes));
  });
}

/** One window of any pool: the bounds of its part inside the plane, the plane's number, and its own number in bytes. */
interface Window {
  plane: Pointer;
  top: Pointer;
  bottom: Pointer;
  left: Pointer;
  right: Pointer;
  bytes: Pointer;
}

function forEachWindow(code: Code, s: Sizes, visit: (window: Window) => void): void {
  const local = () => code.local(0);
  const [plane, top, bottom, left, right] = [local(), local(), local(), local(), local()];
  const [oy, ox, y, x, windowBytes] = [local(), local(), local(), local(), local()];
  const zero = i32.const(0);
  code.for(plane, 0, s.planes, 1, () => {
    code.for(oy, 0, s.outHeight, 1, () => {
      code.set(y, i32.sub(i32.mul(oy, s.strideY), s.padY));
      code.set(top, i32.max(y, zero));
      code.set(bottom, i32.max(top, i32.min(s.height, i32.add(y, s.kernelHeight))));
      code.for(ox, 0, s.outWidth, 1, () => {
        code.set(x, i32.sub(i32.mul(ox, s.strideX), s.padX));
        code.set(left, i32.max(x, zero));
        code.set(right, i32.max(left, i32.min(s.width, i32.add(x, s.kernelWidth))));
        visit({ plane, top, bottom, left, right, bytes: windowBytes });
        code.advance(windowBytes, 4);
      });
    });
  });
}

/** Visits the pixels of a window inside the plane, row by row: byte pointer, and position in the plane. */
function forEachPixel(
  code: Code,
  image: I32,
  { plane, top, bottom, left, right }: Window,
  { height, width }: Sizes,
  visit: (pixel: Pointer, position: Pointer) => void,
): void {
  const [row, end, position, pixel] = [code.local(0), code.local(0), code.local(0), code.local(0)];
  code.for(row, top, bottom, 1, () => {
    code.set(position, i32.add(i32.mul(row, width), left));
    code.set(end, i32.add(i32.mul(row, width), right));
    code.set(pixel, bytes(i32.add(image, i32.add(i32.mul(i32.mul(plane, height), width), position))));
    code.for(position, position, end, 1, () => {
      visit(pixel, position);
      code.advance(pixel, 4);
    });
  });
}

/** Visits each window with its winner (a byte address in the image), or with none where it lies in the padding. */
function forEachWinner(
  code: Code,
  { image, winners, planes, planeSize, windows }: Record<'image' | 'winners' | 'planes' | 'planeSize' | 'windows', I32>,
  visit: (winner: Pointer, windowBytes: Pointer) => void,
  withoutWinner: (windowBytes: Pointer) => void = () => {},
): void {
  const [plane, i, windowBytes, winner] = [code.local(0), code.local(0), code.local(0), code.local(0)];
  const planeStart = code.local(bytes(image));
  code.for(plane, 0, planes, 1, () => {
    code.for(i, 0, windows, 1, () => {
      code.set(winner, i32.load(i32.add(bytes(winners), windowBytes)));
      code.if(
        i32.geS(winner, 0),
        () => {
          code.set(winner, i32.add(planeStart, bytes(winner)));
          visit(winner, windowBytes);
        },
        () => withoutWinner(windowBytes),
      );
      code.advance(windowBytes, 4);
    });
    code.advance(planeStart, bytes(planeSize));
  });
}

/** Four contests side by side, one a lane: the best number so far and its position, -1 while there is none. */
class Contest {
  readonly best: Local<'v128'>;
  readonly winner: Local<'v128'>;
  private readonly candidate: Local<'v128'>;
  private readonly beats: Local<'v128'>;
  private readonly code: Code;

  constructor(code: Code) {
    this.code = code;
    this.best = code.local(f32x4.splat(0));
    this.winner = code.local(i32x4.splat(0));
    this.candidate = code.local(f32x4.splat(0));
    this.beats = code.local(i32x4.splat(0));
  }

  start(best: V128, winner: V128): void {
    this.code.set(this.best, best);
    this.code.set(this.winner, winner);
  }

  challenge(candidate: V128, position: V128): void {
    const { code, best, winner, beats } = this;
    code.set(this.candidate, candidate);
    // Not (candidate <= best) is "larger, or one of them NaN"; a best that is NaN stays.
    code.set(beats, v128.andnot(f32x4.eq(best, best), f32x4.le(this.candidate, best)));
    code.set(beats, v128.or(beats, i32x4.ltS(winner, i32x4.splat(0))));
    code.set(best, v128.bitselect(this.candidate, best, beats));
    code.set(winner, v128.bitselect(position, winner, beats));
  }
}

function defineMaxPool(module: WasmModule): void {
  const parameters = { x: 'i32', out: 'i32', winners: 'i32', ...sizes } as const;
  module.define('maxPool2d', parameters, ({ x, out, winners, ...rest }, code) => {
    const contest = new Contest(code);
    const { best, winner } = contest;
    code.if(isHalving(rest), () => {
      forEachFourSquares(code, x, rest, ([topLeft, topRight, bottomLeft, bottomRight], positions, window) => {
        const below = i32x4.add(positions, i32x4.splat(rest.width));
        contest.start(topLeft, positions);
        contest.challenge(topRight, i32x4.add(positions, i32x4.splat(1)));
        contest.challenge(bottomLeft, below);
        contest.challenge(bottomRight, i32x4.add(below, i32x4.splat(1)));
        code.store(i32.add(bytes(out), window), best);
        code.store(i32.add(bytes(winners), window), winner);
      });
      code.return();
    });
    // One window in all four lanes: vectors choose without a branch, and who wins is not predictable.
    forEachWindow(code, rest, (window) => {
      contest.start(f32x4.splat(Number.NEGATIVE_INFINITY), i32x4.splat(-1));
      forEachPixel(code, x, window, rest, (pixel, position) => {
        contest.challenge(v128.load32Splat(pixel), i32x4.splat(position));
      });
      code.store32Lane(i32.add(bytes(out), window.bytes), best, 0);
      code.store32Lane(i32.add(bytes(winners), window.bytes), winner, 0);
    });
  });
}

const winnerSizes = { planes: 'i32', planeSize: 'i32', windows: 'i32' } as const;

function defineMaxPoolSlope(module: WasmModule): void {
  const parameters = { g: 'i32', winners: 'i32', out: 'i32', ...winnerSizes, accumulate: 'i32' } as const;
  module.define('maxPool2dSlope', parameters, ({ g, out, accumulate, ...rest }, code) => {
    code.if(i32.eqz(accumulate), () => {
      code.fillBytes(bytes(out), 0, bytes(i32.mul(rest.planes, rest.planeSize)));
    });
    forEachWinner(code, { image: out, ...rest }, (winner, window) => {
      code.store(winner, f32.add(f32.load(winner), f32.load(i32.add(bytes(g), window))));
    });
  });
}

function defineMaxPoolPick(module: WasmModule): void {
  const parameters = { x: 'i32', winners: 'i32', out: 'i32', ...winnerSizes } as const;
  module.define('maxPool2dPick', parameters, ({ x, out, ...rest }, code) => {
    const write = (window: I32, value: F32) => code.store(i32.add(bytes(out), window), value);
    forEachWinner(
      code,
      { image: x, ...rest },
      (winner, window) => write(window, f32.load(winner)),
      (window) => write(window, f32.const(0)),
    );
  });
}

function defineAvgPool(module: WasmModule): void {
  module.define('avgPool2d', { x: 'i32', out: 'i32', ...sizes } as const, ({ x, out, ...rest }, code) => {
    code.if(isHalving(rest), () => {
      forEachFourSquares(code, x, rest, ([topLeft, topRight, bottomLeft, bottomRight], _, window) => {
        const sum = f32x4.add(f32x4.add(f32x4.add(topLeft, topRight), bottomLeft), bottomRight);
        code.store(i32.add(bytes(out), window), f32x4.mul(sum, f32x4.splat(0.25)));
      });
      code.return();
    });
    const sum = code.local(f32.const(0));
    const area = code.local(f32.convertI32S(i32.mul(rest.kernelHeight, rest.kernelWidth)));
    forEachWindow(code, rest, (window) => {
      code.set(sum, f32.const(0));
      forEachPixel(code, x, window, rest, (pixel) => code.set(sum, f32.add(sum, f32.load(pixel))));
      code.store(i32.add(bytes(out), window.bytes), f32.div(sum, area));
    });
  });
}

function defineAvgPoolSlope(module: WasmModule): void {
  const parameters = { g: 'i32', out: 'i32', accumulate: 'i32', ...sizes } as const;
  module.define('avgPool2dSlope', parameters, ({ g, out, accumulate, ...rest }, code) => {
    code.if(i32.eqz(accumulate), () => {
      code.fillBytes(bytes(out), 0, bytes(i32.mul(rest.planes, i32.mul(rest.height, rest.width))));
    });
    const share = code.local(f32.const(0));
    const area = code.local(f32.convertI32S(i32.mul(rest.kernelHeight, rest.kernelWidth)));
    forEachWindow(code, rest, (window) => {
      code.set(share, f32.div(f32.load(i32.add(bytes(g), window.bytes)), area));
      forEachPixel(code, out, window, rest, (pixel) => code.store(pixel, f32.add(f32.load(pixel), share)));
    });
  });
}

const names = ['maxPool2d', 'maxPool2dSlope', 'maxPool2dPick', 'avgPool2d', 'avgPool2dSlope'] as const;

export const poolFamily: Family = {
  names,
  emit({ memory }) {
    const module = new WasmModule();
    defineMaxPool(module);
    defineMaxPoolSlope(module);
    defineMaxPoolPick(module);
    defineAvgPool(module);
    defineAvgPoolSlope(module);
    return module.instantiate(memory) as Pick<Kernels, (typeof names)[number]>;
  },
};
