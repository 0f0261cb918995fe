// The loop of numpy's a @ b, four rows and two vectors at a time (AssemblyScript, compiled with the runtime). numpy in
// Pyodide has no BLAS: it takes one number at a time, and a training step takes four times as long. Each sum is taken in
// the order of numpy's own loop, so the result is the same to the last bit.

let scratch: usize = 0, room: usize = 0; // where b is laid out row after row if it is not
let plainFloat: u32 = 0, plainDouble: u32 = 0; // numpy's own loops, for shapes that gain nothing and what does not fit

export function prepare(at: usize, bytes: usize, float: u32, double: u32): void {
  scratch = at;
  room = bytes;
  plainFloat = float;
  plainDouble = double;
}

// As numpy calls its loops: (char **args, npy_intp *dimensions, npy_intp *steps, void *data), for (m,n),(n,p)->(m,p).
export function float(args: usize, dimensions: usize, steps: usize, data: usize): void {
  loop<f32>(args, dimensions, steps, data);
}
export function double(args: usize, dimensions: usize, steps: usize, data: usize): void {
  loop<f64>(args, dimensions, steps, data);
}

// @ts-ignore: decorator
@inline
function word(array: usize, index: i32): i32 {
  return load<i32>(array + (<usize>index << 2));
}

function loop<T>(args: usize, dimensions: usize, steps: usize, data: usize): void {
  const size = <i32>sizeof<T>();
  const count = word(dimensions, 0), m = word(dimensions, 1), n = word(dimensions, 2), p = word(dimensions, 3);
  const am = word(steps, 3), an = word(steps, 4), bn = word(steps, 5), bp = word(steps, 6), cm = word(steps, 7), cp = word(steps, 8);
  const packed = bp != size;
  if (cp != size || m < 2 || p < 2 || (packed && <usize>n * p * size > room)) {
    call_indirect<void>(size == 4 ? plainFloat : plainDouble, args, dimensions, steps, data);
    return;
  }
  let a = word(args, 0), b = word(args, 1), c = word(args, 2);
  for (let i = 0; i < count; i++) {
    let rows: usize = b, bn_ = bn;
    if (packed) {
      rows = scratch;
      bn_ = p * size;
      for (let k = 0; k < n; k++)
        for (let j = 0; j < p; j++)
          store<T>(scratch + <usize>(k * bn_ + j * size), load<T>(<usize>(b + k * bn + j * bp)));
    }
    product<T>(a, am, an, rows, bn_, c, cm, m, n, p);
    a += word(steps, 0);
    b += word(steps, 1);
    c += word(steps, 2);
  }
}

function product<T>(a: usize, am: i32, an: i32, b: usize, bn: i32, c: usize, cm: i32, m: i32, n: i32, p: i32): void {
  const size = <i32>sizeof<T>(), both = 32 / size; // numbers in two vectors
  let i = 0;
  for (; i + 4 <= m; i += 4) {
    const a0 = a + i * am, a1 = a0 + am, a2 = a1 + am, a3 = a2 + am;
    const c0 = c + i * cm, c1 = c0 + cm, c2 = c1 + cm, c3 = c2 + cm;
    let j = 0;
    for (; j + both <= p; j += both) {
      let s00 = v128.splat<T>(0), s01 = s00, s10 = s00, s11 = s00, s20 = s00, s21 = s00, s30 = s00, s31 = s00;
      let right = b + j * size, left = 0;
      for (let k = 0; k < n; k++, right += bn, left += an) {
        const b0 = v128.load(right), b1 = v128.load(right, 16);
        let x = v128.splat<T>(load<T>(a0 + left));
        s00 = v128.add<T>(s00, v128.mul<T>(x, b0));
        s01 = v128.add<T>(s01, v128.mul<T>(x, b1));
        x = v128.splat<T>(load<T>(a1 + left));
        s10 = v128.add<T>(s10, v128.mul<T>(x, b0));
        s11 = v128.add<T>(s11, v128.mul<T>(x, b1));
        x = v128.splat<T>(load<T>(a2 + left));
        s20 = v128.add<T>(s20, v128.mul<T>(x, b0));
        s21 = v128.add<T>(s21, v128.mul<T>(x, b1));
        x = v128.splat<T>(load<T>(a3 + left));
        s30 = v128.add<T>(s30, v128.mul<T>(x, b0));
        s31 = v128.add<T>(s31, v128.mul<T>(x, b1));
      }
      const at = j * size;
      v128.store(c0 + at, s00);
      v128.store(c0 + at, s01, 16);
      v128.store(c1 + at, s10);
      v128.store(c1 + at, s11, 16);
      v128.store(c2 + at, s20);
      v128.store(c2 + at, s21, 16);
      v128.store(c3 + at, s30);
      v128.store(c3 + at, s31, 16);
    }
    for (let row = i; row < i + 4; row++) rest<T>(a + row * am, an, b, bn, c + row * cm, j, n, p);
  }
  for (; i < m; i++) rest<T>(a + i * am, an, b, bn, c + i * cm, 0, n, p);
}

// What is left of one row, from column j on.
function rest<T>(a: usize, an: i32, b: usize, bn: i32, c: usize, j: i32, n: i32, p: i32): void {
  const size = <i32>sizeof<T>(), one = 16 / size;
  for (; j + one <= p; j += one) {
    let sum = v128.splat<T>(0), right = b + j * size, left = a;
    for (let k = 0; k < n; k++, right += bn, left += an)
      sum = v128.add<T>(sum, v128.mul<T>(v128.splat<T>(load<T>(left)), v128.load(right)));
    v128.store(c + j * size, sum);
  }
  for (; j < p; j++) {
    let sum: T = 0, right = b + j * size, left = a;
    for (let k = 0; k < n; k++, right += bn, left += an) sum += load<T>(left) * load<T>(right);
    store<T>(c + j * size, sum);
  }
}
