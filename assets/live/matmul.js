// Give numpy the loop of matmul.ts in the place of its own. It has Pyodide's memory and table, so nothing is copied.
// A ufunc keeps its loops in an array, one a type: PyUFuncObject of numpy/ufuncobject.h, here with words of 4 bytes.
const NIN = 2, FUNCTIONS = 6, ROOM = 8 << 20;

export async function fasterMatmul(python, program) {
  const { memory, __indirect_function_table: table, _malloc: malloc } = python._module;
  const { exports: ours } = (await WebAssembly.instantiate(program, { env: { memory, table } })).instance;
  const matmul = python.runPython(`
    import numpy
    [id(numpy.matmul), numpy.matmul.types.index("ff->f"), numpy.matmul.types.index("dd->d")]`);
  const [address, float, double] = matmul.toJs();
  matmul.destroy();
  const scratch = malloc(ROOM), words = new Uint32Array(memory.buffer), ufunc = address / 4, loops = words[ufunc + FUNCTIONS] / 4;
  if (words[ufunc + NIN] !== 2 || words[ufunc + NIN + 1] !== 1) throw new Error('numpy keeps its loops elsewhere now');
  ours.prepare(scratch, ROOM, words[loops + float], words[loops + double]);
  const first = table.grow(2);
  table.set(first, ours.float);
  table.set(first + 1, ours.double);
  words[loops + float] = first;
  words[loops + double] = first + 1;
}
