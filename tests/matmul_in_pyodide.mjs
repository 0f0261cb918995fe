// Compare numpy's own a @ b in Pyodide with ours, to the last bit, and time both. node matmul_in_pyodide.mjs RUNTIME BOOK
// One line of JSON: {products, differ, ratio}: how many were compared and differ; our time over numpy's in a step's products.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [runtime, book] = process.argv.slice(2).map(argument => path.resolve(argument));
const load = (...parts) => import(pathToFileURL(path.join(...parts)));
const { loadPyodide } = await load(runtime, 'pyodide', 'pyodide.mjs');
const { fasterMatmul } = await load(book, 'assets', 'live', 'matmul.js');
const py = await loadPyodide({ indexURL: path.join(runtime, 'pyodide') + '/', packages: ['numpy'] });
py.runPython(`
import itertools, json, time
import numpy as np

def products():
    rng, found = np.random.default_rng(0), []
    for kind, m, n, p in itertools.product((np.float32, np.float64), (1, 2, 3, 4, 5, 8, 13), (0, 1, 2, 7, 16), (1, 2, 3, 4, 7, 8, 9, 17, 32)):
        a, b = rng.standard_normal((m, n)).astype(kind), rng.standard_normal((n, p)).astype(kind)
        wide_a, wide_b = np.repeat(a, 2, 1)[:, ::2], np.repeat(b, 3, 1)[:, ::3]
        found += [a @ b, np.asfortranarray(a) @ b, a @ np.asfortranarray(b), b.T @ a.T, a[::-1] @ b[:, ::-1], wide_a @ wide_b,
                  np.matmul(a, b, out=np.empty((p, m), kind).T)]
    for kind in (np.float32, np.float64, np.int64, np.complex64, np.float16):
        a, b = (10 * rng.standard_normal((2, 3, 5, 6))).astype(kind), (10 * rng.standard_normal((3, 6, 9))).astype(kind)
        square = b[0, :, :6].copy()
        found += [a @ b, a @ b[:1], a @ np.ascontiguousarray(b.swapaxes(1, 2)).swapaxes(1, 2), a[0, 0, 0] @ b[0], a[0, 0] @ b[0, :, 0],
                  square @ square, np.matmul(square, square, out=square), square]
        if kind in (np.float32, np.float64):
            a[0, 0, 0, 0], a[0, 0, 1, 1] = np.inf, np.nan
            large = rng.standard_normal((2000, 600)).astype(kind).T  # does not fit the scratch memory as float64
            found += [a @ b, rng.standard_normal((3, 600)).astype(kind) @ large, np.matmul(a[0, 0], b[0], dtype=kind)]
    return [(array.dtype.str, array.shape, array.tobytes()) for array in found]

def seconds():
    rng, least = np.random.default_rng(0), 9
    shapes = [(512, 48, 192), (512, 192, 48), (48, 512, 192), (192, 512, 48)]
    pairs = [(rng.standard_normal((m, n), np.float32), rng.standard_normal((n, p), np.float32)) for m, n, p in shapes]
    for _ in range(20):
        start = time.perf_counter()
        for a, b in pairs:
            a @ b
        least = min(least, time.perf_counter() - start)
    return least

theirs, slow = products(), seconds()
`);
await fasterMatmul(py, fs.readFileSync(path.join(runtime, 'matmul.wasm')));
console.log(py.runPython(`
ours, fast = products(), seconds()
json.dumps({"products": len(ours), "differ": sum(a != b for a, b in zip(theirs, ours, strict=True)), "ratio": fast / slow})
`));
