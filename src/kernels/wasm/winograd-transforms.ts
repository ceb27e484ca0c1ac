/**
 * The loops of winograd.ts, emitted: filters, pixels and outputs to and from the sixteen positions of a tile, and the
 * sixteen products between them. Names and layouts are those of that file's comment.
 *
 * A transform of pixels or outputs works on four neighbouring tiles of a row at once, one in each lane, and walks a run of
 * tiles of one image: whole rows, but for the first and the last one. Lanes past the end of a row are computed like the
 * others. Of the pixels they land in columns that the next row, the next image or nobody uses; of the outputs they are
 * cleared and not written.
 */
import type { Callable, Code, Local, WasmModule } from './assembler.ts';
import { f32, f32x4, type I32, i32, i32x4, select, type V128, v128 } from './instructions.ts';

/** Rows of U that stand side by side: the products take two at once. */
export const panelRows = 2;

export const bytes = (elements: I32) => i32.shl(elements, 2);
const evens = [0, 2, 4, 6] as const;
const odds = [1, 3, 5, 7] as const;
/** The first, and the last, two lanes of two vectors by turns. */
const lowPairs = [0, 4, 1, 5] as const;
const highPairs = [2, 6, 3, 7] as const;

export const zero = f32x4.splat(0);

type Tuple<T, N extends number, Items extends T[] = []> = Items['length'] extends N
  ? Items
  : Tuple<T, N, [...Items, T]>;
const several = <T, N extends number>(count: N, make: () => T) => Array.from({ length: count }, make) as Tuple<T, N>;
export const vectors = <N extends number>(code: Code, count: N) => several(count, () => code.local(zero));
export const counters = <N extends number>(code: Code, count: N) => several(count, () => code.local(0));

/** The tiles of a block, `count` of them from `firstTile` on, counted through the images. */
const block = { firstTile: 'i32', count: 'i32', tilesOfImage: 'i32', tilesX: 'i32' } as const;
type Block = { [Name in keyof typeof block]: Local<'i32'> };
/** The tiles of a block that belong to image number `image`: their first row and the first tile in it, and how many. */
interface Run {
  readonly image: Local<'i32'>;
  readonly y: Local<'i32'>;
  readonly x: Local<'i32'>;
  readonly tiles: Local<'i32'>;
}

function forEachImage(code: Code, { firstTile, count, tilesOfImage, tilesX }: Block, visit: (run: Run) => void): void {
  const image = code.local(i32.divU(firstTile, tilesOfImage));
  const tile = code.local(i32.remU(firstTile, tilesOfImage));
  const left = code.local(count);
  const [y, x, tiles] = counters(code, 3);
  code.while(left, () => {
    code.set(y, i32.divU(tile, tilesX));
    code.set(x, i32.remU(tile, tilesX));
    code.set(tiles, i32.min(i32.sub(tilesOfImage, tile), left));
    visit({ image, y, x, tiles });
    code.advance(image, 1);
    code.set(tile, 0);
    code.set(left, i32.sub(left, tiles));
  });
}

/** Visits the rows of a run: row `y`, its tiles from `x` on, `count` of them. */
function forEachRow(
  code: Code,
  run: Run,
  tilesX: I32,
  visit: (y: Local<'i32'>, x: Local<'i32'>, count: Local<'i32'>) => void,
): void {
  const [y, x, left] = [code.local(run.y), code.local(run.x), code.local(run.tiles)];
  const count = code.local(0);
  code.while(left, () => {
    code.set(count, i32.min(i32.sub(tilesX, x), left));
    visit(y, x, count);
    code.set(left, i32.sub(left, count));
    code.advance(y, 1);
    code.set(x, 0);
  });
}

/**
 * U = G w G^T of every filter, in the form in which `products` reads it: [position][pair of rows][tap][2]. The last of an
 * odd number of rows stands twice. `turned` filters are those of the gradient: turned by 180 degrees, which in U exchanges
 * the first and last row, and the first and last column.
 */
export function defineFilters(module: WasmModule, name: 'filters' | 'turnedFilters'): Callable {
  const parameters = {
    ...({ weight: 'i32', rowStep: 'i32', tapStep: 'i32', rows: 'i32', taps: 'i32' } as const),
    ...({ out: 'i32', plane: 'i32' } as const),
  };
  const place = (index: number) => (name === 'filters' ? index : [3, 1, 2, 0][index]!);
  return module.define(name, parameters, ({ weight, rowStep, tapStep, rows, taps, out, plane }, code) => {
    for (const elements of [weight, rowStep, tapStep, out, plane]) code.set(elements, bytes(elements));
    const [row, tap, second] = counters(code, 3);
    const [from, to] = counters(code, 2);
    const [w0, w1, w2] = vectors(code, 3);
    const [t1, t2, low, high] = vectors(code, 4);
    const transformed = [vectors(code, 4), vectors(code, 4)] as const;
    const half = (x: V128) => f32x4.mul(x, f32x4.splat(0.5));

    /** One filter: vector j holds column j of U, its four rows in the lanes. */
    const transform = (address: I32, [first, middle, next, last]: Tuple<Local<'v128'>, 4>) => {
      code.set(w0, v128.load(address));
      code.set(w1, half(v128.load(address, 12)));
      code.set(w2, v128.load(address, 24));
      code.set(t2, half(f32x4.add(w0, w2)));
      code.set(t1, f32x4.add(t2, w1));
      code.set(t2, f32x4.sub(t2, w1));
      // The rows of G w are w0, t1, t2, w2; their first three lanes, transposed, are its columns.
      code.set(low, v128.shuffle32(w0, t1, lowPairs));
      code.set(high, v128.shuffle32(t2, w2, lowPairs));
      code.set(first, v128.shuffle32(low, high, [0, 1, 4, 5]));
      code.set(next, half(v128.shuffle32(low, high, [2, 3, 6, 7])));
      code.set(low, v128.shuffle32(w0, t1, highPairs));
      code.set(high, v128.shuffle32(t2, w2, highPairs));
      code.set(last, v128.shuffle32(low, high, [0, 1, 4, 5]));
      code.set(low, half(f32x4.add(first, last)));
      code.set(middle, f32x4.add(low, next));
      code.set(next, f32x4.sub(low, next));
    };

    code.for(row, 0, rows, panelRows, () => {
      code.set(from, weight);
      code.set(second, select(i32.gtU(i32.sub(rows, row), 1), rowStep, i32.const(0)));
      code.for(tap, 0, taps, 1, () => {
        transform(from, transformed[0]);
        transform(i32.add(from, second), transformed[1]);
        const target = (i: number, j: number) => i32.add(to, i32.mul(plane, 4 * place(i) + place(j)));
        code.set(to, out);
        for (let j = 0; j < 4; j++) {
          const [a, b] = [transformed[0][j]!, transformed[1][j]!];
          code.set(low, v128.shuffle32(a, b, lowPairs));
          code.set(high, v128.shuffle32(a, b, highPairs));
          for (let i = 0; i < 4; i++) code.store64Lane(target(i, j), i < 2 ? low : high, i % 2);
        }
        code.advance(from, tapStep);
        code.advance(out, 4 * panelRows);
      });
      code.advance(weight, i32.shl(rowStep, 1));
    });
  });
}

/**
 * V = B^T d B of a block of tiles, in all channels. `image` is the first image's first plane of the group, the next
 * image's stands `imageStep` behind it; `padded` is room for one plane, zero around the pixels.
 */
export function defineInput(module: WasmModule, pad: Callable): Callable {
  const parameters = {
    ...({ images: 'i32', imageStep: 'i32', channels: 'i32', height: 'i32', width: 'i32', padY: 'i32' } as const),
    ...({ padX: 'i32', padded: 'i32', paddedHeight: 'i32', paddedWidth: 'i32', ...block } as const),
    ...({ out: 'i32', row: 'i32', plane: 'i32' } as const),
  };
  return module.define('input', parameters, (args, code) => {
    const { images, imageStep, channels, height, width, padY, padX, padded, paddedHeight, paddedWidth } = args;
    const { tilesX, out, row, plane } = args;
    const [channel, pixels, top, rows, left] = counters(code, 5);
    const [firstColumn, firstOfChannel, column, to] = counters(code, 4);
    const sources = counters(code, 4);
    const raw = vectors(code, 4);
    const [first, second, third, fourth] = vectors(code, 4);
    const paddedRow = code.local(bytes(paddedWidth));
    for (const elements of [out, row, plane]) code.set(elements, bytes(elements));
    code.set(firstColumn, out);

    /** Row i of B^T d, four pixels of it, is one of these sums and differences of two rows of d. */
    const rowOf = (i: number, offset: number): V128 => {
      const pixels = (index: number) => v128.load(sources[index]!, offset);
      if (i === 0) return f32x4.sub(pixels(0), pixels(2));
      if (i === 1) return f32x4.add(pixels(1), pixels(2));
      return i === 2 ? f32x4.sub(pixels(2), pixels(1)) : f32x4.sub(pixels(1), pixels(3));
    };
    const transformFour = () => {
      code.set(to, column);
      const store = (value: V128) => {
        code.store(to, value);
        code.advance(to, plane);
      };
      for (let i = 0; i < 4; i++) {
        [0, 16, 8, 24].forEach((offset, index) => {
          code.set(raw[index]!, rowOf(i, offset));
        });
        // Tiles are two pixels apart: each of these holds one of the four columns of a tile in each lane.
        code.set(first, v128.shuffle32(raw[0], raw[1], evens));
        code.set(second, v128.shuffle32(raw[0], raw[1], odds));
        code.set(third, v128.shuffle32(raw[2], raw[3], evens));
        code.set(fourth, v128.shuffle32(raw[2], raw[3], odds));
        store(f32x4.sub(first, third));
        store(f32x4.add(second, third));
        store(f32x4.sub(third, second));
        store(f32x4.sub(second, fourth));
      }
    };

    forEachImage(code, args, (run) => {
      // The rows of pixels that the run meets: its tiles begin two rows apart and are four rows high.
      const lastY = i32.divU(i32.add(i32.mul(run.y, tilesX), i32.add(run.x, i32.sub(run.tiles, 1))), tilesX);
      const end = i32.sub(i32.add(i32.shl(lastY, 1), 4), padY);
      code.set(top, i32.max(i32.const(0), i32.sub(i32.shl(run.y, 1), padY)));
      code.set(rows, i32.sub(i32.min(height, end), top));
      code.set(pixels, i32.add(images, i32.add(i32.mul(run.image, imageStep), i32.mul(top, width))));
      code.set(firstOfChannel, firstColumn);
      code.for(channel, 0, channels, 1, () => {
        code.call(pad, pixels, padded, 1, rows, width, paddedHeight, paddedWidth, i32.add(top, padY), padX);
        code.set(column, firstOfChannel);
        forEachRow(code, run, tilesX, (y, x, count) => {
          const corner = i32.add(padded, i32.add(i32.mul(i32.shl(y, 1), paddedWidth), i32.shl(x, 1)));
          sources.forEach((source, index) => {
            code.set(source, index === 0 ? bytes(corner) : i32.add(sources[index - 1]!, paddedRow));
          });
          code.set(left, count);
          code.while(i32.gtS(left, 0), () => {
            transformFour();
            for (const source of sources) code.advance(source, 32);
            code.advance(column, 16);
            code.advance(left, -4);
          });
          code.advance(column, bytes(left));
        });
        code.advance(pixels, i32.mul(height, width));
        code.advance(firstOfChannel, row);
      });
      code.advance(firstColumn, bytes(run.tiles));
    });
  });
}

/**
 * out (+)= A^T M A + bias for a block of tiles, in all rows of M. What is written of image n is also added, times 0, to the
 * number finite[n]: it stays 0 while all of it is finite.
 */
export function defineOutput(module: WasmModule): Callable {
  const parameters = {
    ...({ m: 'i32', row: 'i32', plane: 'i32', bias: 'i32', ...block } as const),
    ...({ images: 'i32', imageStep: 'i32', channels: 'i32', height: 'i32', width: 'i32' } as const),
    ...({ accumulate: 'i32', finite: 'i32' } as const),
  };
  return module.define('output', parameters, (args, code) => {
    const { m, row, plane, bias, tilesX, images, imageStep, channels, height, width, accumulate, finite } = args;
    for (const elements of [m, row, plane]) code.set(elements, bytes(elements));
    const rowBytes = code.local(bytes(width));
    const [channel, left, valid, hasSecond] = counters(code, 4);
    const [firstOfChannel, column, from, out, to] = counters(code, 5);
    const [m0, m1, m2, m3] = vectors(code, 4);
    const results = [vectors(code, 2), vectors(code, 2)] as const;
    const [offset, nought] = vectors(code, 2);

    /** Two rows of two outputs of each of four tiles: column j of M, rows first, gives to both columns of outputs. */
    const transformFour = () => {
      code.set(from, column);
      for (const rowOfResults of results) for (const result of rowOfResults) code.set(result, offset);
      for (let j = 0; j < 4; j++) {
        [m0, m1, m2, m3].forEach((vector, i) => {
          code.set(vector, v128.load(i32.add(from, i32.mul(plane, 4 * i))));
        });
        code.advance(from, plane);
        code.set(m0, f32x4.add(f32x4.add(m0, m1), m2));
        code.set(m1, f32x4.sub(f32x4.sub(m1, m2), m3));
        [m0, m1].forEach((sum, y) => {
          const [even, odd] = results[y]!;
          if (j < 3) code.set(even, f32x4.add(even, sum));
          if (j === 1) code.set(odd, f32x4.add(odd, sum));
          if (j > 1) code.set(odd, f32x4.sub(odd, sum));
        });
      }
    };
    /** Writes the first `valid` of two vectors; what is not valid becomes 0. */
    const store = (address: Local<'i32'>, low: Local<'v128'>, high: Local<'v128'>) => {
      const both = [low, high] as const;
      const eachHalf = (visit: (half: Local<'v128'>, offset: number) => void) =>
        both.forEach((half, index) => {
          visit(half, 16 * index);
        });
      const check = () => eachHalf((half) => code.set(nought, f32x4.add(nought, f32x4.mul(half, zero))));
      const addOld = (half: Local<'v128'>, offset: number) =>
        code.if(accumulate, () => code.set(half, f32x4.add(half, v128.load(address, offset))));
      code.if(
        i32.geS(valid, 8),
        () => {
          check();
          eachHalf(addOld);
          eachHalf((half, offset) => code.store(address, half, offset));
        },
        () => {
          eachHalf((half, offset) => {
            const lanes = i32x4.splat(i32.sub(valid, offset / 4));
            code.set(half, v128.and(half, i32x4.gtS(lanes, i32x4.const(0, 1, 2, 3))));
          });
          check();
          eachHalf((half, offset) => {
            const lanes = code.local(i32.sub(valid, offset / 4));
            code.if(i32.gtS(lanes, 0), () => {
              addOld(half, offset);
              code.if(
                i32.geS(lanes, 4),
                () => code.store(address, half, offset),
                () => {
                  code.if(
                    i32.and(lanes, 2),
                    () => {
                      code.store64Lane(address, half, 0, offset);
                      code.if(i32.and(lanes, 1), () => code.store32Lane(address, half, 2, offset + 8));
                    },
                    () => code.store32Lane(address, half, 0, offset),
                  );
                },
              );
            });
          });
        },
      );
    };

    forEachImage(code, args, (run) => {
      code.set(firstOfChannel, m);
      code.set(out, bytes(i32.add(images, i32.mul(run.image, imageStep))));
      code.set(nought, zero);
      code.for(channel, 0, channels, 1, () => {
        code.set(offset, zero);
        code.if(bias, () => code.set(offset, v128.load32Splat(bytes(i32.add(bias, channel)))));
        code.set(column, firstOfChannel);
        forEachRow(code, run, tilesX, (y, x, count) => {
          const corner = i32.add(i32.mul(i32.shl(y, 1), width), i32.shl(x, 1));
          code.set(to, i32.add(out, bytes(corner)));
          code.set(hasSecond, i32.ltU(i32.add(i32.shl(y, 1), 1), height));
          code.set(left, count);
          code.set(valid, i32.min(i32.shl(count, 1), i32.sub(width, i32.shl(x, 1))));
          code.while(i32.gtS(left, 0), () => {
            transformFour();
            results.forEach(([even, odd], index) => {
              code.set(m0, v128.shuffle32(even, odd, lowPairs));
              code.set(m1, v128.shuffle32(even, odd, highPairs));
              if (index === 0) store(to, m0, m1);
              else
                code.if(hasSecond, () => {
                  code.set(from, i32.add(to, rowBytes));
                  store(from, m0, m1);
                });
            });
            code.advance(to, 32);
            code.advance(column, 16);
            code.advance(left, -4);
            code.advance(valid, -8);
          });
          code.advance(column, bytes(left));
        });
        code.advance(out, i32.mul(bytes(height), width));
        code.advance(firstOfChannel, row);
      });
      const flag = bytes(i32.add(finite, run.image));
      const lanes = [0, 1, 2, 3].map((lane) => f32x4.extractLane(nought, lane));
      code.store(flag, lanes.reduce(f32.add, f32.load(flag)));
      code.advance(m, bytes(run.tiles));
    });
  });
}
