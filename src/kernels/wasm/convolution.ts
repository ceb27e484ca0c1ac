/**
 * 2-d convolution and its gradients, emitted: columns (im2col), then matrix products.
 *
 * For one image and one group, let K = channels * kernelHeight * kernelWidth of the group, and P the outputs of one
 * channel. Row (c, ky, kx) of the columns [K, P] holds the pixel that this weight meets at each output. Then
 *
 *     out [O, P] = W [O, K] columns          dW = g columns^T          columns' = W^T g, added back to the pixels (col2im)
 *
 * - The image is first copied into a zero border, once, so that nothing below asks whether a pixel exists. Without padding
 *   the image itself is read.
 * - The columns are made for a strip of output rows at a time, which bounds their memory and keeps them in L2; the
 *   backward pass makes them again rather than keep them.
 * - A 1 x 1 convolution without stride or padding has its image for columns.
 * - The bias belongs to a row of the product, gemm's to a column: the output starts as the bias and gemm accumulates.
 * - Most 3 x 3 convolutions with stride 1 and the gradients of their images go another way: winograd.ts.
 */
import type { Kernels } from '../table.ts';
import { type Callable, type Code, type Local, WasmModule } from './assembler.ts';
import type { Environment, Family } from './family.ts';
import { gemmParameters } from './gemm.ts';
import { addRow, copyRow } from './indexing.ts';
import { f32, f32x4, type I32, i32 } from './instructions.ts';
import { defineWinograd, type WinogradRule, winogradPays, withWinograd } from './winograd.ts';

/** Columns of a strip stay within 256 KiB, but a strip is at least this many outputs wide: gemm packs the weights for each. */
const stripElements = 1 << 16;
const stripOutputs = 256;

const sizes = {
  ...({ images: 'i32', channels: 'i32', height: 'i32', width: 'i32', outChannels: 'i32' } as const),
  ...({ kernelHeight: 'i32', kernelWidth: 'i32', outHeight: 'i32', outWidth: 'i32', strideY: 'i32' } as const),
  ...({ strideX: 'i32', padY: 'i32', padX: 'i32', dilationY: 'i32', dilationX: 'i32', groups: 'i32' } as const),
};

/** What the driver was told to use. An address of 0: not needed (the image has no border; the image is the columns). */
const plan = { padded: 'i32', paddedHeight: 'i32', paddedWidth: 'i32', columns: 'i32', stripRows: 'i32' } as const;

type Locals<P> = { [Name in keyof P]: Local<'i32'> };
type Sizes = Locals<typeof sizes> & Locals<typeof plan>;

const bytes = (elements: I32) => i32.shl(elements, 2);

/** to[i] = from[i * step], or with `scatter` to[i * step] += from[i]; byte pointers, the step in bytes. */
function copyStrided(code: Code, from: Local<'i32'>, to: Local<'i32'>, step: I32, count: I32, scatter: boolean): void {
  const left = code.local(count);
  code.while(left, () => {
    code.store(to, scatter ? f32.add(f32.load(to), f32.load(from)) : f32.load(from));
    code.advance(from, scatter ? 4 : step);
    code.advance(to, scatter ? step : 4);
    code.advance(left, -1);
  });
}

/**
 * im2col and col2im: for `rows` output rows from `firstRow` on, moves between the pixels (rows `imageRow` and planes
 * `imagePlane` apart) and the columns, which stand one after the other: [channels, ky, kx, row, x].
 */
function defineColumns(module: WasmModule, name: 'im2col' | 'col2im'): Callable {
  const parameters = {
    ...({ image: 'i32', imagePlane: 'i32', imageRow: 'i32', columns: 'i32', channels: 'i32' } as const),
    ...({ firstRow: 'i32', rows: 'i32', kernelHeight: 'i32', kernelWidth: 'i32', outWidth: 'i32' } as const),
    ...({ strideY: 'i32', strideX: 'i32', dilationY: 'i32', dilationX: 'i32' } as const),
  };
  return module.define(name, parameters, (args, code) => {
    const { image, imagePlane, imageRow, columns, channels, firstRow, rows, outWidth, strideX } = args;
    const { kernelHeight, kernelWidth, strideY, dilationY, dilationX } = args;
    const [c, ky, kx, row] = [code.local(0), code.local(0), code.local(0), code.local(0)];
    const column = code.local(bytes(columns));
    const plane = code.local(bytes(i32.add(image, i32.mul(firstRow, i32.mul(strideY, imageRow)))));
    const rowStep = code.local(bytes(i32.mul(strideY, imageRow)));
    const pixelStep = code.local(bytes(strideX));
    const kernelRow = code.local(0);
    const corner = code.local(0);
    const pixel = code.local(0);
    code.for(c, 0, channels, 1, () => {
      code.set(kernelRow, plane);
      code.for(ky, 0, kernelHeight, 1, () => {
        code.set(corner, kernelRow);
        code.for(kx, 0, kernelWidth, 1, () => {
          const eachRow = (move: () => void) => {
            code.for(row, 0, rows, 1, () => {
              code.set(pixel, i32.add(corner, i32.mul(row, rowStep)));
              move();
            });
          };
          code.if(
            i32.eq(strideX, 1),
            () => {
              if (name === 'im2col') eachRow(() => copyRow(code, pixel, column, outWidth));
              else eachRow(() => addRow(code, column, pixel, outWidth));
            },
            () => {
              if (name === 'im2col') eachRow(() => copyStrided(code, pixel, column, pixelStep, outWidth, false));
              else eachRow(() => copyStrided(code, column, pixel, pixelStep, outWidth, true));
            },
          );
          code.advance(corner, bytes(dilationX));
        });
        code.advance(kernelRow, bytes(i32.mul(dilationY, imageRow)));
      });
      code.advance(plane, bytes(imagePlane));
    });
  });
}

/** Copies the planes of an image into the inside of a padded one, or adds that inside to the planes (`unpad`). */
function definePadding(module: WasmModule, name: 'pad' | 'unpad'): Callable {
  const parameters = {
    ...({ image: 'i32', padded: 'i32', channels: 'i32', height: 'i32', width: 'i32' } as const),
    ...({ paddedHeight: 'i32', paddedWidth: 'i32', padY: 'i32', padX: 'i32' } as const),
  };
  return module.define(name, parameters, (args, code) => {
    const { image, padded, channels, height, width, paddedHeight, paddedWidth, padY, padX } = args;
    const [c, y] = [code.local(0), code.local(0)];
    // The padded image ends with the last pixel that a weight meets, which may be before the image ends.
    const overlap = (size: I32, paddedSize: I32, pad: I32) =>
      code.local(i32.max(i32.const(0), i32.min(size, i32.sub(paddedSize, pad))));
    const rows = overlap(height, paddedHeight, padY);
    const columns = overlap(width, paddedWidth, padX);
    const [inside, outside] = [code.local(0), code.local(0)];
    code.for(c, 0, channels, 1, () => {
      code.for(y, 0, rows, 1, () => {
        const paddedRow = i32.add(i32.mul(c, paddedHeight), i32.add(y, padY));
        code.set(inside, bytes(i32.add(padded, i32.add(i32.mul(paddedRow, paddedWidth), padX))));
        code.set(outside, bytes(i32.add(image, i32.mul(i32.add(i32.mul(c, height), y), width))));
        if (name === 'pad') copyRow(code, outside, inside, columns);
        else addRow(code, inside, outside, columns);
      });
    });
  });
}

/** The places of one image and one group, in elements. */
interface GroupPlaces {
  image: Local<'i32'>;
  weight: Local<'i32'>;
  output: Local<'i32'>;
}

/** A strip of output rows of a group, and its columns: [taps, count]. */
interface Strip {
  firstRow: Local<'i32'>;
  rows: Local<'i32'>;
  columns: Local<'i32'>;
  count: Local<'i32'>;
  /** The strip's first output. */
  output: Local<'i32'>;
}

/** What the loop nests of the three drivers have in common. */
class Driver {
  readonly groupChannels: Local<'i32'>;
  readonly groupOutputs: Local<'i32'>;
  /** K of the file's comment. */
  readonly taps: Local<'i32'>;
  /** P of the file's comment. */
  readonly outPlane: Local<'i32'>;
  private readonly groupPixels: Local<'i32'>;
  private readonly code: Code;
  private readonly sizes: Sizes;

  constructor(code: Code, sizes: Sizes) {
    this.code = code;
    this.sizes = sizes;
    const { channels, outChannels, height, width, kernelHeight, kernelWidth, outHeight, outWidth, groups } = sizes;
    this.groupChannels = code.local(i32.divS(channels, groups));
    this.groupOutputs = code.local(i32.divS(outChannels, groups));
    this.taps = code.local(i32.mul(this.groupChannels, i32.mul(kernelHeight, kernelWidth)));
    this.outPlane = code.local(i32.mul(outHeight, outWidth));
    this.groupPixels = code.local(i32.mul(this.groupChannels, i32.mul(height, width)));
  }

  fillZero(address: I32, count: I32): void {
    this.code.fillBytes(bytes(address), 0, bytes(count));
  }

  /** Clears the padded image, border and all. */
  clearPadded(): void {
    const { padded, paddedHeight, paddedWidth } = this.sizes;
    this.fillZero(padded, i32.mul(this.groupChannels, i32.mul(paddedHeight, paddedWidth)));
  }

  callPadding(callee: Callable, image: I32): void {
    const { padded, height, width, paddedHeight, paddedWidth, padY, padX } = this.sizes;
    this.code.call(callee, image, padded, this.groupChannels, height, width, paddedHeight, paddedWidth, padY, padX);
  }

  /** im2col or col2im between a strip and the image (or its padded copy, if there is one). */
  callColumns(callee: Callable, image: I32, { firstRow, rows }: Strip): void {
    const { code, sizes } = this;
    const { padded, paddedHeight, paddedWidth, height, width, columns, kernelHeight, kernelWidth, outWidth } = sizes;
    const { strideY, strideX, dilationY, dilationX } = sizes;
    const geometry = [firstRow, rows, kernelHeight, kernelWidth, outWidth, strideY, strideX, dilationY, dilationX];
    const move = (from: I32, rowCount: I32, row: I32) =>
      code.call(callee, from, i32.mul(rowCount, row), row, columns, this.groupChannels, ...geometry);
    code.if(
      padded,
      () => move(padded, paddedHeight, paddedWidth),
      () => move(image, height, width),
    );
  }

  forEachGroup(image: I32, weight: I32, output: I32, body: (places: GroupPlaces) => void): void {
    const { code } = this;
    const places = { image: code.local(image), weight: code.local(weight), output: code.local(output) };
    const [n, group] = [code.local(0), code.local(0)];
    code.for(n, 0, this.sizes.images, 1, () => {
      code.set(places.weight, weight);
      code.for(group, 0, this.sizes.groups, 1, () => {
        body(places);
        code.advance(places.image, this.groupPixels);
        code.advance(places.weight, i32.mul(this.groupOutputs, this.taps));
        code.advance(places.output, i32.mul(this.groupOutputs, this.outPlane));
      });
    });
  }

  /** Without columns of its own (1 x 1), one strip whose columns are the image itself. */
  forEachStrip({ image, output }: GroupPlaces, body: (strip: Strip) => void): void {
    const { code } = this;
    const { columns, outHeight, outWidth, stripRows } = this.sizes;
    const strip = {
      firstRow: code.local(0),
      rows: code.local(0),
      columns: code.local(0),
      count: code.local(0),
      output: code.local(0),
    };
    code.for(strip.firstRow, 0, outHeight, stripRows, () => {
      code.set(strip.rows, i32.min(i32.sub(outHeight, strip.firstRow), stripRows));
      code.set(strip.count, i32.mul(strip.rows, outWidth));
      code.set(strip.output, i32.add(output, i32.mul(strip.firstRow, outWidth)));
      code.set(strip.columns, columns);
      code.if(i32.eqz(columns), () => code.set(strip.columns, image));
      body(strip);
    });
  }
}

/** out[n, o, :] = bias[o] */
function fillWithBias(code: Code, bias: I32, out: I32, images: I32, outChannels: I32, outPlane: I32): void {
  const [n, o, left] = [code.local(0), code.local(0), code.local(0)];
  const to = code.local(bytes(out));
  const value = code.local(f32x4.splat(0));
  code.for(n, 0, images, 1, () => {
    code.for(o, 0, outChannels, 1, () => {
      code.set(value, f32x4.splat(f32.load(bytes(i32.add(bias, o)))));
      code.set(left, outPlane);
      code.while(i32.geS(left, 4), () => {
        code.store(to, value);
        code.advance(to, 16);
        code.advance(left, -4);
      });
      code.while(left, () => {
        code.store(to, f32x4.extractLane(value, 0));
        code.advance(to, 4);
        code.advance(left, -1);
      });
    });
  });
}

/** What the drivers call. */
interface Callables {
  gemm: Callable;
  im2col: Callable;
  col2im: Callable;
  pad: Callable;
  unpad: Callable;
}

/** out [O, P] = bias + W [O, K] columns [K, P] */
function defineForward(module: WasmModule, { gemm, im2col, pad }: Callables): void {
  const parameters = { x: 'i32', weight: 'i32', bias: 'i32', out: 'i32', ...sizes, ...plan } as const;
  module.define('conv2d', parameters, ({ x, weight, bias, out, ...rest }, code) => {
    const driver = new Driver(code, rest);
    const { taps, outPlane, groupOutputs } = driver;
    code.if(bias, () => fillWithBias(code, bias, out, rest.images, rest.outChannels, outPlane));
    code.if(rest.padded, () => driver.clearPadded());
    driver.forEachGroup(x, weight, out, (places) => {
      code.if(rest.padded, () => driver.callPadding(pad, places.image));
      driver.forEachStrip(places, (strip) => {
        const { columns, count } = strip;
        code.if(rest.columns, () => driver.callColumns(im2col, places.image, strip));
        const [a, b, c] = [[places.weight, taps, 1] as const, [columns, count, 1] as const, strip.output];
        code.call(gemm, ...a, ...b, c, outPlane, groupOutputs, count, taps, i32.ne(bias, 0), 0, 0);
      });
    });
  });
}

/** columns' [K, P] = W^T [K, O] g [O, P], each column back to its pixels. */
function defineInputSlope(module: WasmModule, { gemm, col2im, unpad }: Callables): void {
  const parameters = { g: 'i32', weight: 'i32', out: 'i32', accumulate: 'i32', ...sizes, ...plan } as const;
  module.define('conv2dInputSlope', parameters, ({ g, weight, out, accumulate, ...rest }, code) => {
    const driver = new Driver(code, rest);
    const { taps, outPlane, groupOutputs } = driver;
    const { images, channels, height, width } = rest;
    const pixels = i32.mul(i32.mul(images, channels), i32.mul(height, width));
    code.if(i32.eqz(accumulate), () => driver.fillZero(out, pixels));
    driver.forEachGroup(out, weight, g, (places) => {
      code.if(rest.padded, () => driver.clearPadded());
      driver.forEachStrip(places, (strip) => {
        const { columns, count } = strip;
        const [a, b] = [[places.weight, 1, taps] as const, [strip.output, outPlane, 1] as const];
        // Where the image is the columns, the product adds to it; else it overwrites what the strip before left.
        const addsToImage = i32.eqz(rest.columns);
        code.call(gemm, ...a, ...b, columns, count, taps, count, groupOutputs, addsToImage, 0, 0);
        code.if(rest.columns, () => driver.callColumns(col2im, places.image, strip));
      });
      code.if(rest.padded, () => driver.callPadding(unpad, places.image));
    });
  });
}

/** dW [O, K] = sum over images of g [O, P] columns^T [P, K] */
function defineWeightSlope(module: WasmModule, { gemm, im2col, pad }: Callables): void {
  const parameters = { g: 'i32', x: 'i32', out: 'i32', accumulate: 'i32', ...sizes, ...plan } as const;
  module.define('conv2dWeightSlope', parameters, ({ g, x, out, accumulate, ...rest }, code) => {
    const driver = new Driver(code, rest);
    const { taps, outPlane, groupOutputs } = driver;
    code.if(i32.eqz(accumulate), () => driver.fillZero(out, i32.mul(rest.outChannels, taps)));
    code.if(rest.padded, () => driver.clearPadded());
    driver.forEachGroup(x, out, g, (places) => {
      code.if(rest.padded, () => driver.callPadding(pad, places.image));
      driver.forEachStrip(places, (strip) => {
        const { columns, count } = strip;
        code.if(rest.columns, () => driver.callColumns(im2col, places.image, strip));
        const [a, b, c] = [[strip.output, outPlane, 1] as const, [columns, 1, count] as const, places.weight];
        code.call(gemm, ...a, ...b, c, taps, groupOutputs, taps, count, 1, 0, 0);
      });
    });
  });
}

type SizeArguments =
  Parameters<Kernels['conv2d']> extends [number, number, number, number, ...infer Rest] ? Rest : never;

/** The five numbers of `plan` for these sizes, with scratch room behind the addresses. */
function makePlan(environment: Environment, s: SizeArguments): [number, number, number, number, number] {
  const [, channels, height, width, , kernelHeight, kernelWidth, outHeight, outWidth, strideY, strideX, padY, padX] = s;
  const [, , , , , , , , , , , , , dilationY, dilationX, groups] = s;
  const pixelsAreColumns = kernelHeight * kernelWidth === 1 && strideY * strideX === 1 && padY + padX === 0;
  if (pixelsAreColumns && outHeight === height && outWidth === width) return [0, 0, 0, 0, Math.max(1, outHeight)];

  // What the weights meet, from the first pixel of the first output to the last one of the last.
  const span = (outputs: number, stride: number, kernel: number, dilation: number) =>
    Math.max(0, (outputs - 1) * stride + (kernel - 1) * dilation + 1);
  const paddedHeight = span(outHeight, strideY, kernelHeight, dilationY);
  const paddedWidth = span(outWidth, strideX, kernelWidth, dilationX);
  const needsBorder = padY + padX > 0 || paddedHeight > height || paddedWidth > width;
  const groupChannels = channels / groups;
  const paddedSize = needsBorder ? Math.ceil((groupChannels * paddedHeight * paddedWidth) / 16) * 16 : 0;
  const taps = groupChannels * kernelHeight * kernelWidth;
  const rowElements = Math.max(1, taps * outWidth);
  const rows = Math.max(Math.ceil(stripOutputs / Math.max(1, outWidth)), Math.floor(stripElements / rowElements));
  const stripRows = Math.max(1, Math.min(rows, outHeight));
  const room = environment.scratch(paddedSize + stripRows * rowElements);
  return [needsBorder ? room : 0, paddedHeight, paddedWidth, room + paddedSize, stripRows];
}

const names = ['conv2d', 'conv2dInputSlope', 'conv2dWeightSlope'] as const;

/** The family; `pays` says which of the convolutions that winograd.ts can do it does. */
export const convolutionFamilyWith = (pays: WinogradRule): Family => ({
  names,
  emit(environment): Pick<Kernels, (typeof names)[number]> {
    const module = new WasmModule();
    const callables: Callables = {
      gemm: module.import('gemm', Object.values(gemmParameters), environment.kernel('gemm')),
      im2col: defineColumns(module, 'im2col'),
      col2im: defineColumns(module, 'col2im'),
      pad: definePadding(module, 'pad'),
      unpad: definePadding(module, 'unpad'),
    };
    defineForward(module, callables);
    defineInputSlope(module, callables);
    defineWeightSlope(module, callables);
    defineWinograd(module, callables.pad);
    const emitted = module.instantiate(environment.memory);
    const withPlan =
      (name: (typeof names)[number]) =>
      (first: number, second: number, third: number, fourth: number, ...s: SizeArguments) =>
        emitted[name]!(first, second, third, fourth, ...s, ...makePlan(environment, s));
    const byColumns = { conv2d: withPlan('conv2d'), conv2dInputSlope: withPlan('conv2dInputSlope') };
    return {
      ...withWinograd(emitted, environment, byColumns, pays),
      conv2dWeightSlope: withPlan('conv2dWeightSlope'),
    };
  },
});

export const convolutionFamily = convolutionFamilyWith(winogradPays);
