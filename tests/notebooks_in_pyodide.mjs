// Run chapters in the book's Pyodide, under Node, with the page's own cell runner. node notebooks_in_pyodide.mjs RUNTIME BOOK CHAPTER...
// The last cell first: each brings what it needs of the cells above, and has to print what it prints in order.
// One line of JSON for each cell: {chapter, cell, ok, outputs: [[kind, data, plain text], ...]}.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [runtime, book, ...chapters] = process.argv.slice(2).map(argument => path.resolve(argument));
const load = (...parts) => import(pathToFileURL(path.join(...parts)));
const { loadPyodide } = await load(runtime, 'pyodide', 'pyodide.mjs');
const { fasterMatmul } = await load(book, 'assets', 'live', 'matmul.js');

for (const chapter of chapters) {
  const py = await loadPyodide({ indexURL: path.join(runtime, 'pyodide') + '/', packages: ['numpy'], env: { HOME: '/home/pyodide' } });
  await fasterMatmul(py, fs.readFileSync(path.join(runtime, 'matmul.wasm')));
  const copy = (from, to) => fs.statSync(from).isDirectory()
    ? (py.FS.mkdirTree(to), fs.readdirSync(from).forEach(name => name === '__pycache__' || copy(path.join(from, name), `${to}/${name}`)))
    : py.FS.writeFile(to, fs.readFileSync(from));
  for (const name of ['runner.py', 'figures.py']) copy(path.join(book, 'assets', 'live', name), '/home/pyodide/' + name);
  copy(path.join(book, 'chapters'), '/home/pyodide');
  const runner = py.pyimport('runner');
  let now, outputs = {};
  runner.start((kind, data, text) => outputs[now].push([kind, data, text]));
  const cells = JSON.parse(fs.readFileSync(chapter)).cells.filter(cell => cell.cell_type === 'code').map((cell, index) => ({
    id: cell.id, name: `Cell ${index + 1}`, code: [cell.source].flat().join(''), setup: cell.metadata.tags.includes('setup') }));
  for (let last = cells.length; last; last--) {
    if (outputs[cells[last - 1].id]) continue; // has run for one below
    const todo = runner.plan(py.toPy(cells.slice(0, last)), py.toPy([cells[last - 1].id])).toJs();
    for (const [cell, imports] of todo) {
      if (imports.includes('matplotlib')) await py.loadPackage('matplotlib', { messageCallback() { } });
      now = cell;
      outputs[cell] ??= [];
      const ok = await runner.run();
      if (!ok) console.log(JSON.stringify({ chapter: path.basename(chapter), cell, ok, outputs: outputs[cell] }));
      if (!ok) break;
    }
  }
  for (const { id } of cells) console.log(JSON.stringify({ chapter: path.basename(chapter), cell: id, ok: true, outputs: outputs[id] ?? [] }));
}
