// Turn the release's Python sources into bytecode, with the release's own Python. node precompile.mjs RELEASE OUT
// A page that has to compile them takes about three times as long to its first result. The output is the same each time.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { pathToFileURL } from 'node:url';

const [release, out] = process.argv.slice(2).map(folder => fs.realpathSync(fs.mkdirSync(folder, { recursive: true }) ?? folder) + '/');
const start = async folder => (await import(pathToFileURL(folder + 'pyodide.mjs'))).loadPyodide({ indexURL: folder });
const sha256 = data => createHash('sha256').update(data).digest('hex');
const lock = JSON.parse(fs.readFileSync(release + 'pyodide-lock.json'));

const py = await start(release);
py.runPython(`
import importlib._bootstrap_external as boot, importlib.util as util, re, zipfile

# What no page uses: tests, headers, stubs, windows on a desktop, fonts beside the sans serif ones.
LEFT_OUT = re.compile(
    r"/tests?/|/include/|\\.pyi$|\\.a$|/f2py/|_tests?\\.cpython|sample_data/|mpl-data/images/|pdfcorefonts/|fonts/afm/|"
    r"fontlist\\.json|DejaVuSerif|DejaVuSansMono-|web_backend/|_tkagg|PIL/_(imagingft|imagingcms|webp|avif|imagingmath|imagingmorph)\\.")

def compiled(optimize):
    with zipfile.ZipFile("/in.zip") as old, zipfile.ZipFile("/out.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for info in old.infolist():
            name, data = info.filename, old.read(info)
            if name.endswith("/") or LEFT_OUT.search("/" + name):
                continue
            if name.endswith(".py"):
                code = compile(data, name, "exec", dont_inherit=True, optimize=optimize)
                name, data = name + "c", boot._code_to_hash_pyc(code, util.source_hash(data), checked=False)
            new.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, 9)  # no date

def added(name, text):
    with zipfile.ZipFile("/out.zip", "a") as wheel:
        wheel.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED, 9)
`);
const compile = (data, optimize = 0) => {
  py.FS.writeFile('/in.zip', data);
  py.globals.get('compiled')(optimize);
  return py.FS.readFile('/out.zip');
};
const store = (name, data) => fs.writeFileSync(out + name, data);

for (const name of ['pyodide.mjs', 'pyodide.asm.mjs', 'pyodide.asm.wasm']) fs.copyFileSync(release + name, out + name);
store('python_stdlib.zip', compile(fs.readFileSync(release + 'python_stdlib.zip')));
const wheels = Object.values(lock.packages);
const put = (wheel, data) => { store(wheel.file_name, data); wheel.sha256 = sha256(data); };
const writeLock = () => store('pyodide-lock.json', JSON.stringify(lock));
// matplotlib fills in its docstrings when it is imported, which takes a third of that time: leave them out.
for (const wheel of wheels) put(wheel, compile(fs.readFileSync(release + wheel.file_name), wheel.name === 'matplotlib' ? 2 : 0));
writeLock();

// matplotlib looks through all fonts when it is first imported: do that here, once.
const made = await start(out);
await made.loadPackage('matplotlib', { messageCallback() { } });
const fonts = made.runPython(`
import json, matplotlib.font_manager, pathlib
found = json.loads(pathlib.Path(matplotlib.__file__).with_name("fontlist.json").read_text())
found["ttflist"].sort(key=lambda font: font["fname"])  # else in another order each time
json.dumps(found)
`);
const matplotlib = lock.packages.matplotlib;
py.FS.writeFile('/out.zip', fs.readFileSync(out + matplotlib.file_name));
py.globals.get('added')('matplotlib/fontlist.json', fonts);
put(matplotlib, py.FS.readFile('/out.zip'));
writeLock();
process.exit(0);
