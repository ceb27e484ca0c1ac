/**
 * The embedded data set: handwritten-looking digits, 28 x 28 bytes, drawn rather than loaded.
 *
 * Each image is one hand of a digit (glyphs.ts) with its points jittered, turned, scaled, sheared and shifted, drawn with
 * a pen of random width and darkness, partly hidden by a bar, and specked with noise.
 *
 * The images are the same to the last bit on every machine. Only +, -, *, / and sqrt are used, which IEEE 754 fixes;
 * sin, cos and exp differ between engines, so a rotation is drawn as the tangent of its half angle.
 */

import type { Generator } from '../../src/index.ts';
import { GLYPHS, type Glyph, type Point, type Stroke } from './glyphs.ts';
import type { LabelledImages } from './images.ts';

export const SIDE = 28;
const PIXELS = SIDE * SIDE;

/** How far images differ from their glyph. Lengths in pixels or, where a unit is given, in units of the glyph. */
const JITTER = 0.045; // glyph units, each point by itself
const HALF_ANGLE_TANGENT = 0.14; // about 16 degrees either way
const SHEAR = 0.25;
const SCALE: Range = [16, 22]; // pixels a glyph unit
const SHIFT = 2.2;
const PEN_RADIUS: Range = [0.7, 1.7];
const DARKNESS: Range = [150, 255];
const BAR_CHANCE = 0.25;
const BAR_WIDTH: Range = [1.5, 2.5];
const MOST_SPECKS = 30;

/** Straight pieces a span of a smooth stroke is drawn with. */
const PIECES = 4;

type Range = readonly [from: number, to: number];

/** Draws `count` images; each class comes equally often (up to one), in random order. */
export function drawDigits(count: number, generator: Generator): LabelledImages {
  const pixels = new Uint8Array(count * PIXELS);
  const labels = Uint8Array.from(generator.permutation(count), (place) => place % GLYPHS.length);
  const distances = new Float64Array(PIXELS);
  labels.forEach((label, i) => {
    drawDigit(label, generator, distances, pixels.subarray(i * PIXELS, (i + 1) * PIXELS));
  });
  return { count, height: SIDE, width: SIDE, pixels, labels };
}

function drawDigit(digit: number, generator: Generator, distances: Float64Array, image: Uint8Array): void {
  const hands = GLYPHS[digit] as readonly Glyph[];
  const glyph = hands[generator.integer(hands.length)] as Glyph;
  const place = placement(generator);
  distances.fill(Number.POSITIVE_INFINITY);
  const radius = between(generator, PEN_RADIUS);
  for (const stroke of glyph) {
    const points = stroke.points.map(([x, y]) => place(x + spread(generator, JITTER), y + spread(generator, JITTER)));
    for (const [from, to] of segments({ smooth: stroke.smooth, points })) nearer(distances, from, to, radius + 1);
  }
  const darkness = between(generator, DARKNESS);
  const bar = generator.uniform() < BAR_CHANCE ? hidingBar(generator) : undefined;
  for (let pixel = 0; pixel < PIXELS; pixel++) {
    // The edge of the pen is one pixel wide: full ink half a pixel inside, none half a pixel outside.
    const cover = Math.min(1, Math.max(0, radius + 0.5 - Math.sqrt(distances[pixel] as number)));
    image[pixel] = bar?.(pixel) ? 0 : Math.floor(cover * darkness + 0.5);
  }
  for (let specks = generator.integer(MOST_SPECKS + 1); specks > 0; specks--) {
    image[generator.integer(PIXELS)] = generator.integer(256);
  }
}

/** A random affine map from glyph units to pixels; the glyph's middle lands near the middle of the image. */
function placement(generator: Generator): (x: number, y: number) => Point {
  const tangent = spread(generator, HALF_ANGLE_TANGENT);
  const cosine = (1 - tangent * tangent) / (1 + tangent * tangent);
  const sine = (2 * tangent) / (1 + tangent * tangent);
  const shear = spread(generator, SHEAR);
  const scaleX = between(generator, SCALE);
  const scaleY = between(generator, SCALE);
  const middleX = (SIDE - 1) / 2 + spread(generator, SHIFT);
  const middleY = (SIDE - 1) / 2 + spread(generator, SHIFT);
  return (x, y) => {
    const sheared = (x - 0.5 + shear * (y - 0.5)) * scaleX;
    const scaled = (y - 0.5) * scaleY;
    return [middleX + cosine * sheared - sine * scaled, middleY + sine * sheared + cosine * scaled];
  };
}

/** The straight segments of a stroke. A smooth one is a Catmull-Rom spline, which passes through its points. */
function* segments({ smooth, points }: Stroke): Iterable<[Point, Point]> {
  for (let i = 0; i + 1 < points.length; i++) {
    const [from, to] = [points[i], points[i + 1]] as [Point, Point];
    if (!smooth) {
      yield [from, to];
      continue;
    }
    const before = points[i - 1] ?? from;
    const after = points[i + 2] ?? to;
    let last = from;
    for (let piece = 1; piece <= PIECES; piece++) {
      const t = piece / PIECES;
      const next: Point = [
        spline(before[0], from[0], to[0], after[0], t),
        spline(before[1], from[1], to[1], after[1], t),
      ];
      yield [last, next];
      last = next;
    }
  }
}

/** Catmull-Rom: the cubic with values b, c at t = 0, 1 and slopes (c - a) / 2, (d - b) / 2 there. */
function spline(a: number, b: number, c: number, d: number, t: number): number {
  return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

/** Lowers the squared distances of the pixels within `reach` of a segment to their distance from it. */
function nearer(distances: Float64Array, [x0, y0]: Point, [x1, y1]: Point, reach: number): void {
  const dx = x1 - x0;
  const dy = y1 - y0;
  const perLength = 1 / (dx * dx + dy * dy || 1);
  const left = Math.max(0, Math.ceil(Math.min(x0, x1) - reach));
  const right = Math.min(SIDE - 1, Math.floor(Math.max(x0, x1) + reach));
  const top = Math.max(0, Math.ceil(Math.min(y0, y1) - reach));
  const bottom = Math.min(SIDE - 1, Math.floor(Math.max(y0, y1) + reach));
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const along = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) * perLength));
      const gapX = x - x0 - along * dx;
      const gapY = y - y0 - along * dy;
      const squared = gapX * gapX + gapY * gapY;
      const pixel = y * SIDE + x;
      if (squared < (distances[pixel] as number)) distances[pixel] = squared;
    }
  }
}

/** A level or upright bar across the image; true for the pixels it hides. */
function hidingBar(generator: Generator): (pixel: number) => boolean {
  const upright = generator.uniform() < 0.5;
  const start = between(generator, [4, SIDE - 6]);
  const end = start + between(generator, BAR_WIDTH);
  return (pixel) => {
    const position = upright ? pixel % SIDE : Math.floor(pixel / SIDE);
    return position >= start && position < end;
  };
}

function between(generator: Generator, [from, to]: Range): number {
  return from + (to - from) * generator.uniform();
}

/** Uniform between -most and most. */
function spread(generator: Generator, most: number): number {
  return most * (2 * generator.uniform() - 1);
}
