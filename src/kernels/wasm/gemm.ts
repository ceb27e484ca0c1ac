/**
 * Matrix product: C (+)= A B, every layout by one kernel.
 *
 * The idea (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008): a tile of C stays in
 * registers while k runs; what the tile reads is first packed so that it is contiguous in the order of reading.
 *
 *       B, one block of KC rows           packed: panels of 16 columns, each [k][16]
 *       +--16--+--16--+--16--+
 *       |      |      |      |            A, one block of MC rows, packed: panels of 2 rows, each [k][2]
 *       +------+------+------+
 *
 *     for each block of NC columns and KC of k:   pack B          (from any strides: transposes cost nothing)
 *       for each block of MC rows:                pack A
 *         for each panel of B, for each panel of A:   tile: 2 x 16 of C += A panel . B panel
 *
 * The tile holds 8 accumulators; with 4 vectors of B and 2 splats of A that is 14 of the 16 registers of x64, and k is
 * never unrolled: older V8 hoists all loads of a block to its top and would spill. Plain multiply and add, in the order
 * of k: the same bits on every machine. At the edges the panels are padded with zeros, the tile is computed whole into
 * scratch, and its valid part is copied. A product of a single panel of columns reads the rows of A where they stand; one
 * with one row or column, or k = 1, is a matter of vector-products.ts.
 */
import type { Kernels } from '../table.ts';
import { type Callable, WasmModule } from './assembler.ts';
import type { Environment, Family } from './family.ts';
import { f32, f32x4, type I32, i32, select, v128 } from './instructions.ts';
import {
  accumulateFlag,
  biasFlag,
  bytes,
  defineAxpy,
  defineDot,
  defineRankOne,
  fourVectors,
  isSet,
  reluFlag,
  zero,
} from './vector-products.ts';

const tileRows = 2;
const tileColumns = 16;
/** Block sizes: a panel of B (KC x 16, 16 KiB) stays in L1; a block of A (MC x KC, 192 KiB) and of B (1 MiB) in L2. */
const blockK = 256;
const blockRows = 192;
const blockColumns = 1024;

/** The parameters of `gemm`, in order; families that import it need their types. */
export const gemmParameters = {
  ...({ a: 'i32', aRow: 'i32', aColumn: 'i32', b: 'i32', bRow: 'i32', bColumn: 'i32', c: 'i32', cRow: 'i32' } as const),
  ...({ m: 'i32', n: 'i32', k: 'i32', accumulate: 'i32', bias: 'i32', relu: 'i32' } as const),
};

/**
 * Eight accumulators over k, then accumulate, bias and relu as the flags say, then 2 x 16 floats of C. The two rows of A
 * come packed, interleaved; or direct, where they stand, `second` bytes apart and k contiguous: a product with so few
 * columns that a packed row would be read only once.
 */
function defineTile(module: WasmModule, form: 'packed' | 'direct'): Callable {
  const parameters = {
    ...({ a: 'i32', second: 'i32', b: 'i32', c: 'i32', cRow: 'i32', k: 'i32', flags: 'i32', bias: 'i32' } as const),
  };
  const name = form === 'packed' ? 'tile' : 'tileDirect';
  return module.define(name, parameters, ({ a, second: step, b, c, cRow, k, flags, bias }, code) => {
    const other = code.local(i32.add(a, step));
    const sums = Array.from({ length: 8 }, () => code.local(zero));
    const end = code.local(i32.add(b, i32.shl(k, 6)));
    const columns = Array.from({ length: 4 }, () => code.local(zero));
    const row = [code.local(zero), code.local(zero)];
    code.for(b, b, end, 64, () => {
      columns.forEach((column, j) => {
        code.set(column, v128.load(b, 16 * j));
      });
      code.set(row[0]!, v128.load32Splat(a));
      code.set(row[1]!, form === 'packed' ? v128.load32Splat(a, 4) : v128.load32Splat(other));
      for (let i = 0; i < 2; i++)
        for (let j = 0; j < 4; j++) {
          const sum = sums[4 * i + j]!;
          code.set(sum, f32x4.add(sum, f32x4.mul(row[i]!, columns[j]!)));
        }
      code.advance(a, form === 'packed' ? 4 * tileRows : 4);
      if (form === 'direct') code.advance(other, 4);
    });
    const second = code.local(i32.add(c, cRow));
    const place = (index: number): [I32, number] => [index < 4 ? c : second, 16 * (index % 4)];
    code.if(isSet(flags, accumulateFlag), () => {
      sums.forEach((sum, index) => {
        code.set(sum, f32x4.add(sum, v128.load(...place(index))));
      });
    });
    code.if(isSet(flags, biasFlag), () => {
      sums.forEach((sum, index) => {
        code.set(sum, f32x4.add(sum, v128.load(bias, 16 * (index % 4))));
      });
    });
    code.if(isSet(flags, reluFlag), () => {
      for (const sum of sums) code.set(sum, f32x4.max(sum, zero));
    });
    sums.forEach((sum, index) => {
      const [address, offset] = place(index);
      code.store(address, sum, offset);
    });
  });
}

/** Copies the valid rows x columns of a tile that was computed into scratch to C, with the same epilogue. */
function defineEdge(module: WasmModule): Callable {
  const parameters = {
    ...({ tile: 'i32', c: 'i32', cRow: 'i32', rows: 'i32', columns: 'i32', flags: 'i32', bias: 'i32' } as const),
  };
  return module.define('edge', parameters, ({ tile, c, cRow, rows, columns, flags, bias }, code) => {
    const i = code.local(0);
    const j = code.local(0);
    const width = code.local(bytes(columns));
    const value = code.local(f32.const(0));
    code.for(i, 0, rows, 1, () => {
      code.for(j, 0, width, 4, () => {
        const target = i32.add(c, j);
        code.set(value, f32.load(i32.add(tile, j)));
        code.if(isSet(flags, accumulateFlag), () => code.set(value, f32.add(value, f32.load(target))));
        code.if(isSet(flags, biasFlag), () => code.set(value, f32.add(value, f32.load(i32.add(bias, j)))));
        code.if(isSet(flags, reluFlag), () => code.set(value, f32.max(value, f32.const(0))));
        code.store(target, value);
      });
      code.advance(tile, 4 * tileColumns);
      code.advance(c, cRow);
    });
  });
}

/** Packs k rows of 2 adjacent rows of A: [k][2]. `second` is the stride to the other row, 0 where there is none. */
function definePackA(module: WasmModule): Callable {
  const parameters = { a: 'i32', second: 'i32', step: 'i32', out: 'i32', k: 'i32' } as const;
  return module.define('packA', parameters, ({ a, second, step, out, k }, code) => {
    const b = code.local(i32.add(a, second));
    const end = code.local(i32.add(out, i32.shl(k, 3)));
    const first = code.local(zero);
    const other = code.local(zero);
    // k runs along contiguous memory: four of each row at a time, interleaved.
    code.if(i32.eq(step, 4), () => {
      code.while(i32.leU(i32.add(out, 32), end), () => {
        code.set(first, v128.load(a));
        code.set(other, v128.load(b));
        code.store(out, v128.shuffle32(first, other, [0, 4, 1, 5]));
        code.store(out, v128.shuffle32(first, other, [2, 6, 3, 7]), 16);
        code.advance(a, 16);
        code.advance(b, 16);
        code.advance(out, 32);
      });
    });
    code.while(i32.ltU(out, end), () => {
      code.store(out, f32.load(a));
      code.store(out, f32.load(b), 4);
      code.advance(a, step);
      code.advance(b, step);
      code.advance(out, 8);
    });
  });
}

const packedTogether = 8;

/**
 * Packs 8 adjacent rows of A whose elements stand side by side (a transposed operand): four panels at once, since their
 * 32 bytes of each column lie in one cache line.
 */
function definePackTransposedA(module: WasmModule): Callable {
  const parameters = { a: 'i32', step: 'i32', out: 'i32', k: 'i32' } as const;
  return module.define('packTransposedA', parameters, ({ a, step, out, k }, code) => {
    const panels = [out];
    const size = code.local(i32.shl(k, 3));
    while (panels.length < packedTogether / tileRows) panels.push(code.local(i32.add(panels.at(-1)!, size)));
    const end = code.local(i32.add(out, size));
    code.for(out, out, end, 4 * tileRows, () => {
      panels.forEach((panel, i) => {
        code.store64Lane(panel, v128.load64Zero(a, 8 * i), 0);
        if (panel !== out) code.advance(panel, 4 * tileRows);
      });
      code.advance(a, step);
    });
  });
}

/** Packs k rows of up to 16 adjacent columns of B: [k][16], zeros where there is no column. */
function definePackB(module: WasmModule): Callable {
  const parameters = { b: 'i32', row: 'i32', column: 'i32', out: 'i32', k: 'i32', columns: 'i32' } as const;
  return module.define('packB', parameters, ({ b, row, column, out, k, columns }, code) => {
    const end = code.local(i32.add(out, i32.shl(k, 6)));
    const p = code.local(0);
    const j = code.local(0);
    const vectors = fourVectors(code);
    code.if(i32.and(i32.eq(columns, tileColumns), i32.eq(column, 4)), () => {
      code.for(out, out, end, 64, () => {
        for (let v = 0; v < 4; v++) code.store(out, v128.load(b, 16 * v), 16 * v);
        code.advance(b, row);
      });
      code.return();
    });
    code.if(i32.eq(column, 4), () => {
      // Fewer than 16 columns: whole vectors all the same. What is read behind the last column (at most 12 bytes, which the
      // heap keeps readable) ends in columns of the tile that nobody copies.
      code.for(out, out, end, 64, () => {
        for (let v = 0; v < 4; v++)
          code.if(
            i32.gtU(columns, 4 * v),
            () => code.store(out, v128.load(b, 16 * v), 16 * v),
            () => code.store(out, zero, 16 * v),
          );
        code.advance(b, row);
      });
      code.return();
    });
    code.if(i32.and(i32.eq(columns, tileColumns), i32.eq(row, 4)), () => {
      // k is contiguous: transpose blocks of 4 x 4 by shuffles.
      const source = code.local(0);
      const target = code.local(0);
      const [low01, low23, high01, high23] = fourVectors(code);
      code.while(i32.leU(i32.add(out, 256), end), () => {
        code.set(source, b);
        code.for(target, out, i32.add(out, 64), 16, () => {
          for (const vector of vectors) {
            code.set(vector, v128.load(source));
            code.advance(source, column);
          }
          const [a0, a1, a2, a3] = vectors;
          code.set(low01, v128.shuffle32(a0, a1, [0, 4, 1, 5]));
          code.set(low23, v128.shuffle32(a2, a3, [0, 4, 1, 5]));
          code.set(high01, v128.shuffle32(a0, a1, [2, 6, 3, 7]));
          code.set(high23, v128.shuffle32(a2, a3, [2, 6, 3, 7]));
          code.store(target, v128.shuffle32(low01, low23, [0, 1, 4, 5]), 0);
          code.store(target, v128.shuffle32(low01, low23, [2, 3, 6, 7]), 64);
          code.store(target, v128.shuffle32(high01, high23, [0, 1, 4, 5]), 128);
          code.store(target, v128.shuffle32(high01, high23, [2, 3, 6, 7]), 192);
        });
        code.advance(b, 16);
        code.advance(out, 256);
      });
    });
    code.for(out, out, end, 64, () => {
      code.set(p, b);
      code.for(j, 0, bytes(columns), 4, () => {
        code.store(i32.add(out, j), f32.load(p));
        code.advance(p, column);
      });
      code.for(j, bytes(columns), 4 * tileColumns, 4, () => code.store(i32.add(out, j), f32.const(0)));
      code.advance(b, row);
    });
  });
}

/** The door: picks the kernel by shape, then walks the blocks. Turns all strides and addresses into bytes first. */
function defineGemm(module: WasmModule, environment: Environment): void {
  const tile = defineTile(module, 'packed');
  const tileDirect = defineTile(module, 'direct');
  const edge = defineEdge(module);
  const packA = definePackA(module);
  const packTransposedA = definePackTransposedA(module);
  const packB = definePackB(module);
  const dot = defineDot(module);
  const axpy = defineAxpy(module);
  const rankOne = defineRankOne(module);
  const packedA = 4 * environment.reserve((blockRows + tileRows) * blockK);
  const packedB = 4 * environment.reserve((blockColumns + tileColumns) * blockK);
  const edgeTile = 4 * environment.reserve(tileRows * tileColumns);
  module.define('gemm', gemmParameters, (args, code) => {
    const { a, aRow, aColumn, b, bRow, bColumn, c, cRow, m, n, k, accumulate, bias, relu } = args;
    code.if(i32.or(i32.eqz(m), i32.eqz(n)), () => code.return());
    for (const elements of [a, aRow, aColumn, b, bRow, bColumn, c, cRow, bias]) code.set(elements, bytes(elements));
    const epilogue = code.local(
      i32.or(i32.or(accumulate, select(bias, i32.const(biasFlag), i32.const(0))), i32.mul(relu, reluFlag)),
    );

    code.if(i32.eq(m, 1), () => {
      code.if(i32.eq(bColumn, 4), () => {
        code.call(axpy, a, aColumn, b, bRow, c, n, k, epilogue, bias);
        code.return();
      });
      code.if(i32.and(i32.eq(bRow, 4), i32.eq(aColumn, 4)), () => {
        code.call(dot, a, b, bColumn, c, 4, n, k, epilogue, bias, 4);
        code.return();
      });
    });
    code.if(i32.and(i32.eq(n, 1), i32.and(i32.eq(aColumn, 4), i32.eq(bRow, 4))), () => {
      code.call(dot, b, a, aRow, c, cRow, m, k, epilogue, bias, 0);
      code.return();
    });
    code.if(i32.and(i32.and(i32.eq(k, 1), i32.eq(bColumn, 4)), i32.eqz(i32.or(bias, relu))), () => {
      code.call(rankOne, a, aRow, b, c, cRow, m, n, accumulate);
      code.return();
    });

    const [jBlock, pBlock, iBlock] = [code.local(0), code.local(0), code.local(0)];
    const [columns, depth, rows] = [code.local(0), code.local(0), code.local(0)];
    const [j, i, width, height] = [code.local(0), code.local(0), code.local(0), code.local(0)];
    const [place, placeRow, tileFlags] = [code.local(0), code.local(0), code.local(0)];
    const [flags, panel, strip, target] = [code.local(0), code.local(0), code.local(0), code.local(0)];
    // With a single panel of columns each row of A is read once: packing it first would cost more than it gives.
    const direct = code.local(i32.and(i32.leU(n, tileColumns), i32.eq(aColumn, 4)));
    code.for(jBlock, 0, n, blockColumns, () => {
      code.set(columns, i32.min(i32.sub(n, jBlock), i32.const(blockColumns)));
      code.set(pBlock, 0);
      // Runs once even for k = 0, which then writes the bias or zeros.
      code.while(i32.or(i32.ltS(pBlock, k), i32.eqz(pBlock)), () => {
        code.set(depth, i32.min(i32.sub(k, pBlock), i32.const(blockK)));
        // The first block of k may overwrite C; the later ones add. Bias and relu come with the last.
        code.set(flags, select(pBlock, i32.const(accumulateFlag), i32.and(epilogue, accumulateFlag)));
        code.if(i32.geS(i32.add(pBlock, depth), k), () => code.set(flags, i32.or(flags, epilogue)));
        code.for(j, 0, columns, tileColumns, () => {
          code.call(
            packB,
            i32.add(b, i32.add(i32.mul(pBlock, bRow), i32.mul(i32.add(jBlock, j), bColumn))),
            bRow,
            bColumn,
            i32.add(packedB, i32.mul(bytes(j), depth)),
            depth,
            i32.min(i32.sub(columns, j), i32.const(tileColumns)),
          );
        });
        code.for(iBlock, 0, m, blockRows, () => {
          code.set(rows, i32.min(i32.sub(m, iBlock), i32.const(blockRows)));
          const rowOfA = i32.add(a, i32.add(i32.mul(i32.add(iBlock, i), aRow), i32.mul(pBlock, aColumn)));
          const hasSecond = i32.gtU(i32.sub(rows, i), 1);
          code.if(i32.eqz(direct), () => {
            code.set(i, 0);
            code.if(i32.eq(aRow, 4), () => {
              code.while(i32.leU(i32.add(i, packedTogether), rows), () => {
                code.call(packTransposedA, rowOfA, aColumn, i32.add(packedA, i32.mul(bytes(i), depth)), depth);
                code.advance(i, packedTogether);
              });
            });
            code.for(i, i, rows, tileRows, () => {
              const packed = i32.add(packedA, i32.mul(bytes(i), depth));
              code.call(packA, rowOfA, select(hasSecond, aRow, i32.const(0)), aColumn, packed, depth);
            });
          });
          code.for(j, 0, columns, tileColumns, () => {
            code.set(width, i32.min(i32.sub(columns, j), i32.const(tileColumns)));
            code.set(panel, i32.add(packedB, i32.mul(bytes(j), depth)));
            code.set(strip, i32.add(bias, bytes(i32.add(jBlock, j))));
            code.set(target, i32.add(c, i32.add(i32.mul(iBlock, cRow), bytes(i32.add(jBlock, j)))));
            code.for(i, 0, rows, tileRows, () => {
              code.set(height, i32.min(i32.sub(rows, i), i32.const(tileRows)));
              const whole = i32.and(i32.eq(width, tileColumns), i32.eq(height, tileRows));
              code.set(place, select(whole, target, i32.const(edgeTile)));
              code.set(placeRow, select(whole, cRow, i32.const(4 * tileColumns)));
              code.set(tileFlags, select(whole, flags, i32.const(0)));
              code.if(
                direct,
                () => {
                  const step = select(hasSecond, aRow, i32.const(0));
                  code.call(tileDirect, rowOfA, step, panel, place, placeRow, depth, tileFlags, strip);
                },
                () => {
                  const packed = i32.add(packedA, i32.mul(bytes(i), depth));
                  code.call(tile, packed, 0, panel, place, placeRow, depth, tileFlags, strip);
                },
              );
              code.if(i32.eqz(whole), () => code.call(edge, edgeTile, target, cRow, height, width, flags, strip));
              code.advance(target, i32.shl(cRow, 1));
            });
          });
        });
        code.advance(pBlock, blockK);
      });
    });
  });
}

export const gemmFamily: Family = {
  names: ['gemm'],
  emit(environment) {
    const module = new WasmModule();
    defineGemm(module, environment);
    const { gemm } = module.instantiate(environment.memory);
    return { gemm: gemm as Kernels['gemm'] };
  },
};
