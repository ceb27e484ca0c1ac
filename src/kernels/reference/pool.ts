/**
 * 2-d pooling over planes (images * channels) and its gradients.
 *
 * A window that lies wholly in the padding has no winner: its maximum is -Infinity, its winner -1, and no gradient flows.
 */
import type { Memory, ReferenceKernels } from '../table.ts';

/** The sizes that end every pool kernel's arguments, from `planes` to `padX`. */
type Sizes = Parameters<ReferenceKernels['avgPool2d']> extends [Memory, number, number, ...infer Rest] ? Rest : never;

/** One window clipped to its plane: rows top <= y < bottom, columns left <= x < right; `plane` is its plane's first pixel. */
type VisitWindow = (window: number, plane: number, top: number, bottom: number, left: number, right: number) => void;

function forEachWindow(sizes: Sizes, visit: VisitWindow): void {
  const [planes, height, width, kernelHeight, kernelWidth, outHeight, outWidth] = sizes;
  const [, , , , , , , strideY, strideX, padY, padX] = sizes;
  let window = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (let oy = 0; oy < outHeight; oy++) {
      const y = oy * strideY - padY;
      const top = Math.max(0, y);
      const bottom = Math.min(height, y + kernelHeight);
      for (let ox = 0; ox < outWidth; ox++) {
        const x = ox * strideX - padX;
        const left = Math.max(0, x);
        visit(window++, plane * height * width, top, bottom, left, Math.min(width, x + kernelWidth));
      }
    }
  }
}

export const pool = {
  maxPool2d({ floats, ints }, x, out, winners, ...sizes) {
    const width = sizes[2];
    forEachWindow(sizes, (window, plane, top, bottom, left, right) => {
      let best = Number.NEGATIVE_INFINITY;
      let winner = -1;
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) {
          const position = row * width + column;
          const value = floats[x + plane + position]!;
          // The first maximum wins; a NaN beats everything but an earlier NaN.
          if (winner < 0 || value > best || (Number.isNaN(value) && !Number.isNaN(best))) {
            best = value;
            winner = position;
          }
        }
      }
      floats[out + window] = best;
      ints[winners + window] = winner;
    });
  },

  maxPool2dSlope({ floats, ints }, g, winners, out, planes, planeSize, windows, accumulate) {
    if (!accumulate) floats.fill(0, out, out + planes * planeSize);
    for (let window = 0; window < planes * windows; window++) {
      const winner = ints[winners + window]!;
      if (winner >= 0) floats[out + Math.floor(window / windows) * planeSize + winner]! += floats[g + window]!;
    }
  },

  maxPool2dPick({ floats, ints }, x, winners, out, planes, planeSize, windows) {
    for (let window = 0; window < planes * windows; window++) {
      const winner = ints[winners + window]!;
      floats[out + window] = winner < 0 ? 0 : floats[x + Math.floor(window / windows) * planeSize + winner]!;
    }
  },

  avgPool2d({ floats }, x, out, ...sizes) {
    const [, , width, kernelHeight, kernelWidth] = sizes;
    forEachWindow(sizes, (window, plane, top, bottom, left, right) => {
      let sum = 0;
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) sum += floats[x + plane + row * width + column]!;
      }
      floats[out + window] = sum / (kernelHeight * kernelWidth);
    });
  },

  avgPool2dSlope({ floats }, g, out, accumulate, ...sizes) {
    const [planes, height, width, kernelHeight, kernelWidth] = sizes;
    if (!accumulate) floats.fill(0, out, out + planes * height * width);
    forEachWindow(sizes, (window, plane, top, bottom, left, right) => {
      const share = floats[g + window]! / (kernelHeight * kernelWidth);
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) floats[out + plane + row * width + column]! += share;
      }
    });
  },
} satisfies Pick<ReferenceKernels, 'maxPool2d' | 'maxPool2dSlope' | 'maxPool2dPick' | 'avgPool2d' | 'avgPool2dSlope'>;
