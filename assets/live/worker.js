// Python lives here, so that the page never freezes; the page stops it by ending this worker.
import { fasterMatmul } from './matmul.js';

let runner, python;
const say = (type, more) => postMessage({ type, ...more });

// Tell the page how much has arrived, and hand out what was asked for early. On a quick connection whole files are
// counted: to read along costs a sixth of the time to the first result.
const early = new Map(), plainFetch = fetch, quick = navigator.connection?.downlink >= 5; // Mbit/s
let arrived = 0, telling = 0;
function add(bytes) {
  arrived += bytes;
  telling ||= setTimeout(() => {
    telling = 0;
    say('progress', { arrived });
  }, 50);
}
if (quick) new PerformanceObserver(files => files.getEntries().forEach(file => add(file.decodedBodySize))).observe({ type: 'resource' });
self.fetch = async (url, options) => {
  const response = early.get(String(url)) ?? plainFetch(url, options).then(checked);
  early.delete(String(url));
  return response;
};
function checked(response) {
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
  if (quick) return response;
  const reader = response.clone().body.getReader();
  const next = ({ done, value }) => {
    if (done) return;
    add(value.length);
    return reader.read().then(next);
  };
  reader.read().then(next).catch(() => { });
  return response;
}

// Pyodide waits for ever where its program does not arrive or cannot be made: this promise tells.
let broken;
const trouble = new Promise((_, reject) => broken = reject);
trouble.catch(() => { });
const make = WebAssembly.instantiate;
WebAssembly.instantiate = (...program) => make(...program).catch(error => { broken(error); throw error; });

async function boot({ pyodide, files }) {
  for (const name of ['pyodide.asm.wasm', 'python_stdlib.zip', 'pyodide-lock.json']) {
    const response = fetch(pyodide + name);
    response.catch(broken);
    early.set(pyodide + name, response);
  }
  const texts = ['runner.py', 'figures.py'].map(async name => [name, await (await fetch(files + name)).text()]);
  const bytes = name => fetch(files + name).then(response => response.arrayBuffer());
  const chapters = bytes('chapters.zip'), program = bytes('matmul.wasm');
  const [{ loadPyodide }] = await Promise.all([import(pyodide + 'pyodide.mjs'), import(pyodide + 'pyodide.asm.mjs')]);
  python = await loadPyodide({ indexURL: pyodide, packages: ['numpy'], env: { HOME: '/home/pyodide' } });
  if (!python.loadedPackages.numpy) throw new Error('numpy did not arrive whole');
  await fasterMatmul(python, await program);
  for (const [name, text] of await Promise.all(texts)) python.FS.writeFile('/home/pyodide/' + name, text);
  python.unpackArchive(await chapters, 'zip', { extractDir: '/home/pyodide' });
  runner = python.pyimport('runner');
  runner.start((kind, data, text) => say('output', { kind, data, text }));
}

async function run(cells, wanted) {
  let ok = true, last = null;
  const all = python.toPy(cells), these = python.toPy(wanted), todo = runner.plan(all, these);
  for (const [cell, imports] of todo.toJs()) {
    if (cell !== last) say('begin', { cell: last = cell });
    if (imports.includes('matplotlib') && !python.loadedPackages.matplotlib) {
      say('fetching', { what: 'matplotlib' });
      await python.loadPackage('matplotlib', { messageCallback() { }, errorCallback() { } });
      if (!python.loadedPackages.matplotlib) {
        say('output', { kind: 'error', data: 'matplotlib could not be fetched: check the connection, then press Run again.\n', text: '' });
        ok = false;
      }
      say('fetched');
    }
    ok &&= await runner.run();
    if (!ok) break;
  }
  for (const proxy of [all, these, todo]) proxy.destroy();
  say('done', { ok });
}

onmessage = async ({ data }) => {
  try {
    if (data.type === 'boot') {
      await Promise.race([boot(data), trouble]);
      say('ready');
    } else await run(data.cells, data.wanted);
  } catch (error) {
    say('failed', { text: String(error?.message ?? error).split('\n').filter(Boolean).pop() ?? 'no reason given' });
  }
};
