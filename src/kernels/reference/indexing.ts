/**
 * Reading and adding at integer positions of one axis. Indices are whole numbers inside the axis: the caller has checked.
 *
 * indexSelect and indexAdd take one index for a whole slice of `inner` numbers; gather and scatterAdd one for each number.
 * indexAdd is the adjoint of indexSelect, scatterAdd of gather. Repeated indices add up in the order of j.
 */
import type { ReferenceKernels } from '../table.ts';

export const indexing = {
  indexSelect({ floats, ints }, x, index, out, outer, n, count, inner) {
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < count; j++) {
        const from = x + (o * n + ints[index + j]!) * inner;
        floats.copyWithin(out + (o * count + j) * inner, from, from + inner);
      }
    }
  },

  indexAdd({ floats, ints }, g, index, out, outer, n, count, inner) {
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < count; j++) {
        const from = g + (o * count + j) * inner;
        const to = out + (o * n + ints[index + j]!) * inner;
        for (let i = 0; i < inner; i++) floats[to + i]! += floats[from + i]!;
      }
    }
  },

  gather({ floats, ints }, x, index, out, outer, n, count, inner) {
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < count; j++) {
        for (let i = 0; i < inner; i++) {
          const at = (o * count + j) * inner + i;
          floats[out + at] = floats[x + (o * n + ints[index + at]!) * inner + i]!;
        }
      }
    }
  },

  scatterAdd({ floats, ints }, g, index, out, outer, n, count, inner) {
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < count; j++) {
        for (let i = 0; i < inner; i++) {
          const at = (o * count + j) * inner + i;
          floats[out + (o * n + ints[index + at]!) * inner + i]! += floats[g + at]!;
        }
      }
    }
  },

  oneHot({ floats, ints }, index, out, n, classes) {
    floats.fill(0, out, out + n * classes);
    for (let i = 0; i < n; i++) floats[out + i * classes + ints[index + i]!] = 1;
  },
} satisfies Pick<ReferenceKernels, 'indexSelect' | 'indexAdd' | 'gather' | 'scatterAdd' | 'oneHot'>;
