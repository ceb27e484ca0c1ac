/** Turning images about their centre. Between pixels values are interpolated linearly; what lies outside the image is 0. */

export type Direction = readonly [cosine: number, sine: number];

/** Multiples of 360 make no difference. */
export const angle = (degrees: number): Direction => {
  const radians = ((degrees % 360) * Math.PI) / 180;
  return [Math.cos(radians), Math.sin(radians)];
};

/** For each pixel of the turned image, the four pixels it is made of and their shares. */
export interface Resampling {
  readonly from: Int32Array;
  readonly share: Float64Array;
}

/** An image of height x width pixels, row by row, turned counterclockwise. */
export function turned(height: number, width: number, [cos, sin]: Direction): Resampling {
  const from = new Int32Array(4 * height * width);
  const share = new Float64Array(4 * height * width);
  const [middleRow, middleColumn] = [(height - 1) / 2, (width - 1) / 2];
  for (let row = 0, next = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      // Rows count downwards: counterclockwise on the screen is this way round.
      const [down, right] = [row - middleRow, column - middleColumn];
      const sourceRow = middleRow + cos * down + sin * right;
      const sourceColumn = middleColumn - sin * down + cos * right;
      const [top, left] = [Math.floor(sourceRow), Math.floor(sourceColumn)];
      for (let corner = 0; corner < 4; corner++, next++) {
        const [r, c] = [top + (corner >> 1), left + (corner & 1)];
        if (r < 0 || r >= height || c < 0 || c >= width) continue;
        from[next] = r * width + c;
        share[next] = (1 - Math.abs(sourceRow - r)) * (1 - Math.abs(sourceColumn - c));
      }
    }
  return { from, share };
}

/** Writes the image that starts at `start`, resampled and times `scale`, to `out` from `place` on. */
export function resample(
  { from, share }: Resampling,
  inputs: ArrayLike<number>,
  start: number,
  out: Float32Array,
  place: number,
  scale: number,
): void {
  const pixels = share.length / 4;
  for (let pixel = 0; pixel < pixels; pixel++) {
    let sum = 0;
    for (let corner = 4 * pixel; corner < 4 * pixel + 4; corner++)
      sum += share[corner]! * inputs[start + from[corner]!]!;
    out[place + pixel] = sum * scale;
  }
}
