/**
 * Index kernels, emitted. Rows of `inner` numbers move four at a time; gather and scatterAdd, whose every number has an
 * index of its own, and rows shorter than four go one by one.
 *
 * In each kernel one side is dense (visited in order) and one indexed.
 */
import type { Kernels } from '../table.ts';
import { type Code, type Local, WasmModule } from './assembler.ts';
import type { Family } from './family.ts';
import { f32, f32x4, type I32, i32, v128 } from './instructions.ts';

type Counter = Local<'i32'>;

/** to[i] = from[i] for i < count; both are byte pointers and end behind the row. The last vector may overlap the one before. */
export function copyRow(code: Code, from: Counter, to: Counter, count: I32): void {
  const left = code.local(count);
  const copyVector = () => {
    code.store(to, v128.load(from));
    code.advance(from, 16);
    code.advance(to, 16);
  };
  code.if(
    i32.geS(left, 4),
    () => {
      code.while(i32.geS(left, 4), () => {
        copyVector();
        code.advance(left, -4);
      });
      code.if(left, () => {
        const back = i32.sub(i32.shl(left, 2), 16);
        code.advance(from, back);
        code.advance(to, back);
        copyVector();
      });
    },
    () =>
      code.while(left, () => {
        code.store(to, f32.load(from));
        code.advance(from, 4);
        code.advance(to, 4);
        code.advance(left, -1);
      }),
  );
}

/** to[i] += from[i] for i < count; both are byte pointers and end behind the row. */
export function addRow(code: Code, from: Counter, to: Counter, count: I32): void {
  const left = code.local(count);
  code.while(i32.geS(left, 4), () => {
    code.store(to, f32x4.add(v128.load(to), v128.load(from)));
    code.advance(from, 16);
    code.advance(to, 16);
    code.advance(left, -4);
  });
  code.while(left, () => {
    code.store(to, f32.add(f32.load(to), f32.load(from)));
    code.advance(from, 4);
    code.advance(to, 4);
    code.advance(left, -1);
  });
}

const sizes = { outer: 'i32', n: 'i32', count: 'i32', inner: 'i32' } as const;
type Sizes = { [Name in keyof typeof sizes]: Counter };

/** One index a row: visits the rows (o, j) of the dense side together with their rows (o, index[j]) of the indexed side. */
function forEachRow(
  code: Code,
  index: I32,
  indexed: I32,
  dense: I32,
  { outer, n, count, inner }: Sizes,
  visit: (indexedRow: Counter, denseRow: Counter) => void,
): void {
  const rowBytes = code.local(i32.shl(inner, 2));
  const block = code.local(i32.shl(indexed, 2));
  const denseRow = code.local(i32.shl(dense, 2));
  const indexedRow = code.local(0);
  const at = code.local(0);
  const [o, j] = [code.local(0), code.local(0)];
  code.for(o, 0, outer, 1, () => {
    code.set(at, i32.shl(index, 2));
    code.for(j, 0, count, 1, () => {
      code.set(indexedRow, i32.add(block, i32.mul(i32.load(at), rowBytes)));
      visit(indexedRow, denseRow);
      code.advance(at, 4);
    });
    code.advance(block, i32.mul(n, rowBytes));
  });
}

/** One index a number: visits the numbers (o, j, i) of the dense side with their numbers (o, index[o, j, i], i). */
function forEachNumber(
  code: Code,
  index: I32,
  indexed: I32,
  dense: I32,
  { outer, n, count, inner }: Sizes,
  visit: (indexedNumber: I32, denseNumber: I32) => void,
): void {
  const rowBytes = code.local(i32.shl(inner, 2));
  const block = code.local(i32.shl(indexed, 2));
  const denseNumber = code.local(i32.shl(dense, 2));
  const at = code.local(i32.shl(index, 2));
  const column = code.local(0);
  const [o, j, i] = [code.local(0), code.local(0), code.local(0)];
  code.for(o, 0, outer, 1, () => {
    code.for(j, 0, count, 1, () => {
      code.set(column, block);
      code.for(i, 0, inner, 1, () => {
        visit(i32.add(column, i32.mul(i32.load(at), rowBytes)), denseNumber);
        code.advance(at, 4);
        code.advance(denseNumber, 4);
        code.advance(column, 4);
      });
    });
    code.advance(block, i32.mul(n, rowBytes));
  });
}

const reads = { x: 'i32', index: 'i32', out: 'i32', ...sizes } as const;
const adds = { g: 'i32', index: 'i32', out: 'i32', ...sizes } as const;
const names = ['indexSelect', 'indexAdd', 'gather', 'scatterAdd', 'oneHot'] as const;

export const indexingFamily: Family = {
  names,
  emit({ memory }) {
    const module = new WasmModule();

    module.define('indexSelect', reads, ({ x, index, out, ...rest }, code) => {
      forEachRow(code, index, x, out, rest, (from, to) => copyRow(code, from, to, rest.inner));
    });

    module.define('indexAdd', adds, ({ g, index, out, ...rest }, code) => {
      forEachRow(code, index, out, g, rest, (to, from) => addRow(code, from, to, rest.inner));
    });

    module.define('gather', reads, ({ x, index, out, ...rest }, code) => {
      forEachNumber(code, index, x, out, rest, (from, to) => code.store(to, f32.load(from)));
    });

    module.define('scatterAdd', adds, ({ g, index, out, ...rest }, code) => {
      const to = code.local(0);
      forEachNumber(code, index, out, g, rest, (target, from) => {
        code.set(to, target);
        code.store(to, f32.add(f32.load(to), f32.load(from)));
      });
    });

    const oneHot = { index: 'i32', out: 'i32', n: 'i32', classes: 'i32' } as const;
    module.define('oneHot', oneHot, ({ index, out, n, classes }, code) => {
      const row = code.local(i32.shl(out, 2));
      const rowBytes = code.local(i32.shl(classes, 2));
      const at = code.local(i32.shl(index, 2));
      const i = code.local(0);
      code.fillBytes(row, 0, i32.mul(n, rowBytes));
      code.for(i, 0, n, 1, () => {
        code.store(i32.add(row, i32.shl(i32.load(at), 2)), f32.const(1));
        code.advance(row, rowBytes);
        code.advance(at, 4);
      });
    });

    return module.instantiate(memory) as Pick<Kernels, (typeof names)[number]>;
  },
};
