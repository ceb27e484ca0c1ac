/**
 * The assembler: TypeScript that writes a WebAssembly module, and reads like the loop it emits.
 *
 *     const module = new WasmModule();
 *     module.define('double', { x: 'i32', n: 'i32' }, ({ x, n }, code) => {
 *       const p = code.local(i32.shl(x, 2));                  // an address in elements becomes one in bytes
 *       const end = code.local(i32.add(p, i32.shl(n, 2)));
 *       code.for(p, p, end, 4, () => code.store(p, f32.add(f32.load(p), f32.load(p))));
 *     });
 *     module.instantiate(memory).double(address, 100);
 *
 * `define` runs its callback once, at once; each statement method of `code` appends bytes, each expression of
 * instructions.ts only describes a value. A module has one memory, imported as env.memory, functions that return
 * nothing (results go to memory), and imports of functions of other modules. All kernels of a family share a module;
 * it is compiled when the family is first used.
 *
 * Layout of the bytes: magic, version, then the sections type (1), import (2), function (3), export (7), code (10),
 * each behind its length (WebAssembly Core Specification, chapter 5).
 */
import { Bytes } from './bytes.ts';
import { type Int, i32, memoryImmediate, Value, type ValueType } from './instructions.ts';

const typeCode: Record<ValueType, number> = { i32: 0x7f, f32: 0x7d, v128: 0x7b };
const emptyBlock = 0x40;

/** A variable of a function: a value that can be set. Parameters are locals too. */
export class Local<Type extends ValueType = ValueType> extends Value<Type> {
  readonly index: number;
  constructor(type: Type, index: number) {
    super(type, (out) => {
      out.byte(0x20);
      out.u32(index);
    });
    this.index = index;
  }
}

type Parameters = Record<string, ValueType>;
type Arguments<P extends Parameters> = { readonly [Name in keyof P]: Local<P[Name]> };

/** A function of this module or an imported one, as something to call. */
export interface Callable {
  readonly index: number;
  readonly parameters: readonly ValueType[];
}

/** Statements of one function body. */
export class Code {
  private readonly body = new Bytes();
  private readonly localTypes: ValueType[] = [];
  private readonly parameterCount: number;

  constructor(parameterCount: number) {
    this.parameterCount = parameterCount;
  }

  /** A new variable that holds `initial`. */
  local<Type extends ValueType>(initial: Value<Type>): Local<Type>;
  local(initial: number): Local<'i32'>;
  local(initial: Value | number): Local {
    const value = typeof initial === 'number' ? i32.const(initial) : initial;
    const local = new Local(value.type, this.parameterCount + this.localTypes.length);
    this.localTypes.push(value.type);
    this.set(local, value);
    return local;
  }

  set<Type extends ValueType>(local: Local<Type>, value: Value<Type> | (Type extends 'i32' ? number : never)): void {
    (typeof value === 'number' ? i32.const(value) : value).write(this.body);
    this.body.byte(0x21);
    this.body.u32(local.index);
  }

  /** local += step */
  advance(local: Local<'i32'>, step: Int): void {
    this.set(local, i32.add(local, step));
  }

  /** Writes an i32, f32 or v128 to a byte address plus a constant offset. */
  store(address: Int, value: Value, offset = 0): void {
    (typeof address === 'number' ? i32.const(address) : address).write(this.body);
    value.write(this.body);
    if (value.type === 'v128') {
      this.body.byte(0xfd);
      this.body.u32(0x0b);
    } else this.body.byte(value.type === 'i32' ? 0x36 : 0x38);
    memoryImmediate(this.body, offset);
  }

  /** Writes one 32-bit lane (or, with `store64Lane`, one 64-bit half) of a vector. */
  store32Lane(address: Int, vector: Value<'v128'>, lane: number, offset = 0): void {
    this.storeLane(0x5a, address, vector, lane, offset);
  }
  store64Lane(address: Int, vector: Value<'v128'>, lane: number, offset = 0): void {
    this.storeLane(0x5b, address, vector, lane, offset);
  }

  if(condition: Int, then: () => void, otherwise?: () => void): void {
    this.push(condition);
    this.body.byte(0x04);
    this.body.byte(emptyBlock);
    then();
    if (otherwise) {
      this.body.byte(0x05);
      otherwise();
    }
    this.body.byte(0x0b);
  }

  /** Tests at the bottom, once more at the top: the loop itself has a single branch. */
  while(condition: Int, body: () => void): void {
    this.if(condition, () => {
      this.body.byte(0x03);
      this.body.byte(emptyBlock);
      body();
      this.push(condition);
      this.body.byte(0x0d);
      this.body.u32(0);
      this.body.byte(0x0b);
    });
  }

  /**
   * for (variable = from; variable < to; variable += step), compared as unsigned integers: variables are counts, or byte
   * addresses, which pass 2^31 in a large memory.
   */
  for(variable: Local<'i32'>, from: Int, to: Int, step: Int, body: () => void): void {
    if (from !== variable) this.set(variable, typeof from === 'number' ? i32.const(from) : from);
    this.while(i32.ltU(variable, to), () => {
      body();
      this.advance(variable, step);
    });
  }

  call(callee: Callable, ...values: (Value | number)[]): void {
    if (values.length !== callee.parameters.length) throw new Error('A call passes the wrong number of values.');
    for (const value of values) (typeof value === 'number' ? i32.const(value) : value).write(this.body);
    this.body.byte(0x10);
    this.body.u32(callee.index);
  }

  return(): void {
    this.body.byte(0x0f);
  }

  /** memory.copy (the ranges may overlap) and memory.fill, in bytes. */
  copyBytes(to: Int, from: Int, count: Int): void {
    for (const value of [to, from, count]) this.push(value);
    for (const byte of [0xfc, 0x0a, 0x00, 0x00]) this.body.byte(byte);
  }
  fillBytes(to: Int, value: Int, count: Int): void {
    for (const operand of [to, value, count]) this.push(operand);
    for (const byte of [0xfc, 0x0b, 0x00]) this.body.byte(byte);
  }

  /** The finished body: declarations of locals in runs of one type, then the statements. */
  finish(): Bytes {
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.localTypes) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    const out = new Bytes();
    out.u32(runs.length);
    for (const run of runs) {
      out.u32(run.count);
      out.byte(typeCode[run.type]);
    }
    out.append(this.body);
    out.byte(0x0b);
    return out;
  }

  private push(value: Int): void {
    (typeof value === 'number' ? i32.const(value) : value).write(this.body);
  }

  private storeLane(code: number, address: Int, vector: Value<'v128'>, lane: number, offset: number): void {
    this.push(address);
    vector.write(this.body);
    this.body.byte(0xfd);
    this.body.u32(code);
    memoryImmediate(this.body, offset);
    this.body.byte(lane);
  }
}

type WasmFunction = (...args: number[]) => void;

export class WasmModule {
  private readonly imports: { name: string; parameters: readonly ValueType[]; value: WasmFunction }[] = [];
  private readonly functions: { name: string; parameters: readonly ValueType[]; body: Bytes }[] = [];

  /** Imports another family's exported kernel. All imports come before the first definition. */
  import(name: string, parameters: readonly ValueType[], value: WasmFunction): Callable {
    if (this.functions.length > 0)
      throw new Error('Imports come before definitions: function indices start with them.');
    this.imports.push({ name, parameters, value });
    return { index: this.imports.length - 1, parameters };
  }

  /** Defines and exports a function; the callback gets its parameters by name, and `code` to write statements with. */
  define<P extends Parameters>(name: string, parameters: P, write: (args: Arguments<P>, code: Code) => void): Callable {
    const names = Object.keys(parameters);
    const types = Object.values(parameters);
    const code = new Code(types.length);
    const locals = names.map((parameter, index) => [parameter, new Local(types[index]!, index)]);
    write(Object.fromEntries(locals) as Arguments<P>, code);
    this.functions.push({ name, parameters: types, body: code.finish() });
    return { index: this.imports.length + this.functions.length - 1, parameters: types };
  }

  /** The module as bytes. */
  encode(): Uint8Array<ArrayBuffer> {
    const out = new Bytes();
    for (const byte of [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]) out.byte(byte);
    const all = [...this.imports, ...this.functions];

    const types = new Bytes();
    types.u32(all.length);
    for (const { parameters } of all) {
      types.byte(0x60);
      types.u32(parameters.length);
      for (const type of parameters) types.byte(typeCode[type]);
      types.u32(0);
    }

    const imports = new Bytes();
    imports.u32(this.imports.length + 1);
    imports.name('env');
    imports.name('memory');
    imports.byte(0x02);
    imports.byte(0x00); // limits: no maximum asked for, so any memory fits
    imports.u32(1);
    this.imports.forEach(({ name }, index) => {
      imports.name('env');
      imports.name(name);
      imports.byte(0x00);
      imports.u32(index);
    });

    const functions = new Bytes();
    const exports = new Bytes();
    const bodies = new Bytes();
    for (const section of [functions, exports, bodies]) section.u32(this.functions.length);
    this.functions.forEach(({ name, body }, index) => {
      functions.u32(this.imports.length + index);
      exports.name(name);
      exports.byte(0x00);
      exports.u32(this.imports.length + index);
      bodies.appendSized(body);
    });

    const sections: [number, Bytes][] = [
      [1, types],
      [2, imports],
      [3, functions],
      [7, exports],
      [10, bodies],
    ];
    for (const [id, section] of sections) {
      out.byte(id);
      out.appendSized(section);
    }
    return out.view();
  }

  /** Compiles the module and gives its functions by name. Throws where a page's policy forbids compilation. */
  instantiate(memory: WebAssembly.Memory): Record<string, WasmFunction> {
    const env: Record<string, WebAssembly.ImportValue> = { memory };
    for (const { name, value } of this.imports) env[name] = value;
    const instance = new WebAssembly.Instance(new WebAssembly.Module(this.encode()), { env });
    return instance.exports as Record<string, WasmFunction>;
  }
}
