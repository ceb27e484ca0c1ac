/**
 * The quantile of the standard normal distribution, by additions, multiplications, divisions and square roots only.
 *
 * These four are exact to the last bit in every JavaScript engine; Math.log is not (the language leaves its rounding
 * open), so the logarithm that the tails need is written here. The same seed then gives the same bits everywhere.
 */

const bits = new DataView(new ArrayBuffer(8));

/** ln 2 in two parts; the first has so few bits that its product with an exponent is exact. */
const ln2High = 0.6931471803691238;
const ln2Low = 1.9082149292705877e-10;

/**
 * Natural logarithm of a positive normal number (2^-1022 and up), within 2 ulp.
 *
 * x = 2^e m with m in [sqrt(1/2), sqrt(2)); with s = (m - 1) / (m + 1), |s| < 0.1716,
 * log m = 2 atanh s = 2 (s + s^3 / 3 + s^5 / 5 + ...), of which eleven terms reach double precision.
 */
export function logarithm(x: number): number {
  bits.setFloat64(0, x);
  const high = bits.getInt32(0);
  let exponent = (high >> 20) - 1023;
  bits.setInt32(0, (high & 0xfffff) | 0x3ff00000);
  let mantissa = bits.getFloat64(0);
  if (mantissa > Math.SQRT2) {
    mantissa *= 0.5;
    exponent += 1;
  }
  const s = (mantissa - 1) / (mantissa + 1);
  const t = s * s;
  let series = 0;
  for (let k = 21; k >= 3; k -= 2) series = (series + 1 / k) * t;
  return exponent * ln2High + (2 * s + (2 * s * series + exponent * ln2Low));
}

/** c[0] + c[1] x + c[2] x^2 + ... + c[7] x^7 */
function polynomial(c: readonly number[], x: number): number {
  let sum = 0;
  for (let k = 7; k >= 0; k--) sum = sum * x + c[k]!;
  return sum;
}

// The coefficients of Wichura's PPND16: numerators and denominators for the centre, the shoulders and the far tails.
const centre = [
  3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987, 67265.7709270087,
  33430.57558358813, 2509.0809287301227,
];
const belowCentre = [
  1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271, 28729.085735721943,
  5226.495278852854,
];
const shoulder = [
  1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684, 0.2417807251774506,
  0.022723844989269184, 0.0007745450142783414,
];
const belowShoulder = [
  1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457,
  0.0005475938084995345, 1.0507500716444169e-9,
];
const tail = [
  6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487, 0.026532189526576124,
  0.0012426609473880784, 0.000027115555687434876, 2.0103343992922881e-7,
];
const belowTail = [
  1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133, 0.000018463183175100548,
  1.421511758316446e-7, 2.0442631033899397e-15,
];

/**
 * The z with P(Z <= z) = p for a standard normal Z; 0 < p < 1, about 1e-15 relative.
 *
 * Algorithm AS 241 (Wichura, Applied Statistics 37, 1988): a rational function of the distance from 1/2 in the
 * centre, of sqrt(-log p) in the tails. Odd about p = 1/2 wherever 1 - p is exact.
 */
export function normalQuantile(p: number): number {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return (q * polynomial(centre, r)) / polynomial(belowCentre, r);
  }
  const r = Math.sqrt(-logarithm(q < 0 ? p : 1 - p));
  const z =
    r <= 5
      ? polynomial(shoulder, r - 1.6) / polynomial(belowShoulder, r - 1.6)
      : polynomial(tail, r - 5) / polynomial(belowTail, r - 5);
  return q < 0 ? -z : z;
}
