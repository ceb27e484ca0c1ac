/** Cholesky's factor, triangular solves and solvePositive: exact cases, derivatives, accuracy in float32, what is refused. */
import { describe, expect, it } from 'vitest';
import { checkGradients, eye, Generator, matmul, randn, tensor, transpose, zeros } from '../../src/index.ts';
import { cholesky, solvePositive, triangularSolve } from '../../src/ops/solve.ts';
import { expectClose, expectRefused, flat, slopes, untyped } from './numbers.ts';

const generator = () => new Generator(5);
const a3 = [
  [4, 2, -2],
  [2, 10, 5],
  [-2, 5, 6],
];
const l3 = [
  [2, 0, 0],
  [1, 3, 0],
  [-1, 2, 1],
];

describe('cholesky', () => {
  it('finds the factor', () => expect(cholesky(tensor(a3)).toArray()).toEqual(l3));

  it('takes a matrix of any layout, and one of size 0 or 1', () => {
    const wide = tensor(a3.map((row) => [...row, 9]));
    expect(cholesky(transpose(wide.slice([null, [0, 3]]))).toArray()).toEqual(l3);
    expect(cholesky(tensor([[9]])).toArray()).toEqual([[3]]);
    expect(cholesky(zeros([0, 0])).shape).toEqual([0, 0]);
  });

  it('has a symmetric gradient', () => {
    const g = flat(
      slopes(
        (a) =>
          cholesky(a).mul(
            tensor([
              [1, 0, 0],
              [2, -1, 0],
              [3, 1, 2],
            ]),
          ),
        a3,
      )[0]!,
    );
    for (const [i, j] of [
      [1, 3],
      [2, 6],
      [5, 7],
    ])
      expect(g[i!]).toBeCloseTo(g[j!]!, 5);
  });

  it('passes over differences of rounding between the triangles', () => {
    const nearly = tensor([
      [4, 2.0001],
      [1.9999, 5],
    ]);
    expectClose(cholesky(nearly), [2, 0, 1, 2], 1e-6);
  });
});

describe('triangularSolve', () => {
  const l = tensor(l3);
  const x = tensor([
    [1, 0],
    [2, -1],
    [-3, 2],
  ]);

  it('undoes a product with L, or with its transpose', () => {
    expect(triangularSolve(l, matmul(l, x)).toArray()).toEqual(x.toArray());
    expect(triangularSolve(l, matmul(transpose(l), x), { transposed: true }).toArray()).toEqual(x.toArray());
  });

  it('takes one right-hand side, none, views, and reads nothing above the diagonal', () => {
    const noisy = l.add(
      tensor([
        [0, 7, 7],
        [0, 0, Number.NaN],
        [0, 0, 0],
      ]),
    );
    const b = matmul(l, x);
    expect(triangularSolve(noisy, b.slice([null, 0])).toArray()).toEqual([1, 2, -3]);
    expect(triangularSolve(noisy, transpose(transpose(b).clone())).toArray()).toEqual(x.toArray());
    expect(triangularSolve(l, zeros([3, 0])).shape).toEqual([3, 0]);
    expect(triangularSolve(zeros([0, 0]), zeros([0])).shape).toEqual([0]);
  });
});

describe('solvePositive', () => {
  it('solves for one right-hand side and for several', () => {
    const x = tensor([
      [1, 4],
      [-2, 0],
      [3, 1],
    ]);
    const b = matmul(tensor(a3), x);
    expectClose(solvePositive(tensor(a3), b), x, 1e-5);
    expectClose(solvePositive(tensor(a3), b.slice([null, 0])), [1, -2, 3], 1e-5);
  });

  it('has the derivatives of its formula, of first and second order', () => {
    const positive = matmul(
      randn([4, 6], { generator: generator() }),
      randn([4, 6], { generator: generator() }).transpose(),
    );
    checkGradients((a, b) => solvePositive(a.add(eye(4)), b), [positive, randn([4, 2], { generator: generator() })]);
    checkGradients((a, b) => solvePositive(a.add(eye(4)), b), [positive, randn([4], { generator: generator() })]);
  });

  it('has the gradients A^-1 g for b and -(A^-1 g) x^T, made symmetric, for a', () => {
    const [a, b, g] = [tensor(a3), tensor([1, 2, 3]), tensor([1, -1, 2])];
    const [x, h] = [solvePositive(a, b), solvePositive(a, g)];
    const outer = matmul(h.reshape([3, 1]), x.reshape([1, 3]));
    const found = slopes((p, q) => solvePositive(p, q).mul(g), a3, [1, 2, 3]);
    expectClose(found[0]!, outer.add(transpose(outer)).mul(-0.5), 1e-4);
    expectClose(found[1]!, h, 1e-4);
  });

  it.each([
    ['well', 0],
    ['badly', -3],
    ['very badly', -6],
  ])('leaves a residual of float32 however %s conditioned the matrix is', (_, least) => {
    // Eigenvalues from 10^least to 1 on a random orthogonal basis; the residual in float64, of what float32 stores.
    const n = 96;
    const basis = orthogonal(n);
    const exact = new Float64Array(n * n);
    for (let k = 0; k < n; k++) {
      const eigenvalue = 10 ** ((least * k) / (n - 1));
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) exact[i * n + j]! += eigenvalue * basis[k]![i]! * basis[k]![j]!;
    }
    const a = Float32Array.from(exact);
    const b = randn([n], { generator: generator() }).toFloat32Array();
    const x = solvePositive(tensor(a, [n, n]), tensor(b)).toFloat32Array();
    const residual = Math.hypot(...b.map((value, i) => x.reduce((rest, y, j) => rest - a[i * n + j]! * y, value)));
    // Higham, "Accuracy and stability of numerical algorithms", 10.1: about n times the unit roundoff, and far less in practice.
    expect(residual).toBeLessThan(1e-6 * (Math.hypot(...x) + Math.hypot(...b)));
  });
});

/** Rows of an orthonormal basis, by Gram and Schmidt, twice over. */
function orthogonal(n: number): Float64Array[] {
  const rows = Array.from({ length: n }, (_, k) =>
    Float64Array.from(randn([n], { generator: new Generator(k) }).toFloat32Array()),
  );
  rows.forEach((row, k) => {
    for (const other of [...rows.slice(0, k), ...rows.slice(0, k)]) {
      const along = row.reduce((sum, x, i) => sum + x * other[i]!, 0);
      other.forEach((x, i) => {
        row[i]! -= along * x;
      });
    }
    const length = Math.hypot(...row);
    row.forEach((x, i) => {
      row[i] = x / length;
    });
  });
  return rows;
}

describe('what is refused', () => {
  const ridge = (n: number) =>
    `Add a ridge to its diagonal, a.add(eye(${n}).mul(ridge)), 1e-6 times its largest number or more.`;

  it('is what is not positive definite, by its first bad pivot', () => {
    const broken = (n: number, at: number, value: number) => {
      const entries = flat(eye(n));
      for (const i of [at, at + 1]) entries[i * n + i] = value;
      return tensor(entries, [n, n]);
    };
    const sentence = (n: number, at: number, value: number) =>
      `cholesky: a [${n}, ${n}] is not positive definite: pivot ${at} (from 0) is ${value}, and must be above 0. ${ridge(n)}`;
    expectRefused([
      [sentence(3, 1, -2), () => cholesky(broken(3, 1, -2))],
      [sentence(100, 70, 0), () => solvePositive(broken(100, 70, 0), zeros([100]))],
      [sentence(200, 3, -1), () => cholesky(broken(200, 3, -1))],
    ]);
    const large = tensor([[Infinity]]);
    const holds = 'cholesky: a [1, 1] holds NaN or infinity, or numbers too large to be squared: pivot 0 (from 0) is ';
    expectRefused([
      [`${holds}NaN.`, () => cholesky(tensor([[Number.NaN]]))],
      [`${holds}Infinity.`, () => cholesky(large)],
    ]);
  });

  it('is what is not symmetric, not square, not a tensor, of other sizes', () => {
    const skew = tensor([
      [4, 1],
      [2, 5],
    ]);
    const meant = 'Give a.add(a.transpose()).mul(0.5) if its symmetric part is meant.';
    expectRefused([
      [`cholesky: a [2, 2] is not symmetric: a[1, 0] is 2, a[0, 1] is 1. ${meant}`, () => cholesky(skew)],
      ['cholesky: a [2, 3] is not square: the matrix is of shape [n, n].', () => cholesky(zeros([2, 3]))],
      [
        'solvePositive: a [2] is not square: the matrix is of shape [n, n].',
        () => solvePositive(zeros([2]), zeros([2])),
      ],
      [
        'triangularSolve: b [3] does not fit a matrix of shape [2, 2]: it is of shape [2] or [2, k].',
        () => triangularSolve(eye(2), zeros([3])),
      ],
      [
        'solvePositive: b [2, 1, 1] does not fit a matrix of shape [2, 2]: it is of shape [2] or [2, k].',
        () => solvePositive(eye(2), zeros([2, 1, 1])),
      ],
      ['cholesky: expected a tensor, not an array. Make one with tensor(...).', () => untyped(cholesky)([[1]])],
      [
        'solvePositive: expected a tensor, not number. Make one with tensor(...).',
        () => untyped(solvePositive)(eye(2), 3),
      ],
    ]);
  });
});
