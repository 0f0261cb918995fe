"""Binder: what a launch link builds and starts. repo2docker's own plan is carried out without Docker, the server is started with
BinderHub's own arguments, and the chapters run in that server as JupyterLab would run them: one whole, of each its set-up.

Of the frozen base, JupyterLab and what it needs are installed: BinderHub starts it by itself, without JupyterHub's part.
"""
import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import nbformat
import pytest
import requests
import websocket
from bs4 import BeautifulSoup
from conftest import ROOT, copy_of_the_repository, free_port, kept, pythons, without_pictures
from jupyter_client.session import Session
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repo2docker.app import Repo2Docker

sys.path += [str(ROOT / "_ext"), str(ROOT / "tools")]
import outputs  # noqa: E402
import repository  # noqa: E402

pytestmark = pytest.mark.xdist_group("binder")  # one worker starts the server and keeps it
CHAPTERS = [f"chapters/{path.name}" for path in sorted((ROOT / "chapters").glob("q*.ipynb"))]
# Takes the least time. The others print elsewhere what is stored; here they could lack a package or a file.
WHOLE = "chapters/q30-cross-entropy-loss.ipynb"
SECONDS = 90  # for one cell
BINDER = ROOT / ".binder"
REQUIREMENTS = (BINDER / "requirements.txt").read_text()


# --- the plan ----------------------------------------------------------------------------------------

def plan(folder):
    """What repo2docker decides for a repository: build pack, Python, frozen base, commands, and the files it copies."""
    with contextlib.chdir(folder):
        for kind in Repo2Docker().buildpacks:
            pack = kind("")
            pack.platform = "linux/amd64"
            if pack.detect():
                break
        lock = next(name for name in pack.get_build_script_files() if name.endswith(".lock"))
        docker = SimpleNamespace(build=lambda fileobj, **options: [fileobj])
        (context,) = pack.build(docker, "image", 0, {}, [], {})
        return SimpleNamespace(
            pack=kind.__name__, python=pack.python_version, lock=Path(pack.generate_build_context_filename(lock)[1]).read_text(),
            before_the_copy=[command for user, command in pack.get_preassemble_scripts()],
            after_the_copy=[*pack.get_assemble_scripts(), *pack.get_post_build_scripts(), *filter(None, [pack.get_start_script()])],
            files=tarfile.open(fileobj=context))


def changed(folder, path, text=None):
    """A copy of the repository in which one file has another text, or is not there."""
    copy = copy_of_the_repository(folder / "copy")
    (copy / path).unlink(missing_ok=True)
    if text is not None:
        (copy / path).parent.mkdir(exist_ok=True)
        (copy / path).write_text(text)
    return copy


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    return plan(changed(tmp_path_factory.mktemp("binder"), "_build/made", "by make book"))


def test_one_command_installs_and_a_commit_does_not_repeat_it(planned):
    assert planned.pack == "PythonBuildPack"
    assert planned.before_the_copy == ['${KERNEL_PYTHON_PREFIX}/bin/pip install --no-cache-dir -r ".binder/requirements.txt"']
    assert planned.after_the_copy == [".binder/postBuild"]


def test_the_chapters_are_copied_and_the_book_and_the_tests_stay_behind(planned):
    copied = {file.name.removeprefix("src/"): file.size for file in planned.files if file.name.startswith("src/")}
    assert set(CHAPTERS) <= copied.keys()
    assert not [name for name in copied if name.startswith(("tests", "_build"))]
    assert sum(copied.values()) < 4e6, f"{sum(copied.values()) / 1e6:.1f} MB are copied"


def test_without_runtime_txt_the_python_is_too_old(tmp_path):
    python = plan(changed(tmp_path, ".binder/runtime.txt")).python
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--only-binary=:all:", "--target", tmp_path,
                           "--python-version", python, "-r", BINDER / "requirements.txt"], capture_output=True, text=True)
    assert done.returncode and re.search(r"require a different python version: .*Requires-Python >=3\.1[1-9]", done.stderr), done.stderr


def test_a_runtime_txt_with_a_patch_version_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must always be specified as 'x.y'"):
        plan(changed(tmp_path, ".binder/runtime.txt", "python-3.12.1\n"))


# --- what is installed ---------------------------------------------------------------------------------

def base(lock):
    """{package: version} of the frozen base; conda calls nbconvert by another name."""
    found = re.findall(r"/([a-z][^/]*)-([^-/]+)-[^-/]+\.(?:conda|tar\.bz2)#", lock)
    return {canonicalize_name(name.replace("nbconvert-core", "nbconvert")): version for name, version in found}


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(folder):
    """({package: version}, bytes) of a Python environment."""
    listed = json.loads(run(folder / "bin" / "pip", "list", "--format=json"))
    files = (path.lstat() for path in folder.rglob("*"))
    return {canonicalize_name(each["name"]): each["version"] for each in listed}, sum(file.st_size for file in files)


@pytest.fixture(scope="module")
def environment(planned):
    """A folder with Binder's Python: the base as it is frozen, then what the plan's commands install. launch.json says what they did."""
    python = pythons().get(int(planned.python.partition(".")[2]))
    if os.name == "nt" or not python:
        pytest.skip(f"Binder runs Python {planned.python} on Linux, which could not be had on this machine")

    def make(folder):
        run(python, "-m", "venv", folder)
        frozen = folder / "base.txt"
        frozen.write_text("".join(f"{name}=={version}\n" for name, version in base(planned.lock).items()))
        run(folder / "bin" / "pip", "install", "-q", "-c", frozen, "pip", "jupyterlab")
        (before, size), start = installed(folder), time.monotonic()
        for command in planned.before_the_copy:
            run("bash", "-c", command, cwd=ROOT, env=os.environ | {"KERNEL_PYTHON_PREFIX": str(folder)})
        seconds, (after, new_size) = time.monotonic() - start, installed(folder)
        (folder / "launch.json").write_text(json.dumps({
            "packages": dict(after.items() - before.items()), "MB": (new_size - size) / 1e6, "seconds": seconds}))
        run(folder / "bin" / "python", "-c", "import matplotlib.pyplot", env={"MPLCONFIGDIR": str(folder)})  # builds the font cache

    settings = b"".join(path.read_bytes() for path in sorted(BINDER.iterdir()))
    return kept("binder", planned.lock.encode() + settings, make)


@pytest.fixture(scope="module")
def launch(environment):
    return json.loads((environment / "launch.json").read_text())


def unnamed(packages, requirements):
    """Those of the packages that the requirements do not name, or with another version."""
    named = map(Requirement, re.findall(r"(?m)^[^#\n].*", requirements))
    return packages.items() - {(canonicalize_name(each.name), str(each.specifier).removeprefix("==")) for each in named}


def test_what_binder_installs_is_pinned_and_replaces_no_more_of_its_base_than_it_says(environment, launch, planned):
    print("{MB:.0f} MB in {seconds:.0f} s: {packages}".format_map(launch))
    frozen, now = base(planned.lock), installed(environment)[0]
    assert now["jupyterlab"] == frozen["jupyterlab"]
    moved = {name for name in now.keys() & frozen.keys() if now[name] != frozen[name]}
    assert moved == {"ipykernel", "jupyter-client", "tornado"}, f"Binder's own {moved} would be replaced"
    assert not unnamed(launch["packages"], REQUIREMENTS), "name it in .binder/requirements.txt, with the version in requirements.txt"
    assert launch["MB"] < 200
    run(environment / "bin" / "pip", "check")


def test_a_package_that_is_not_named_is_noticed(launch):
    assert dict(unnamed(launch["packages"], re.sub("(?m)^numpy==.*", "", REQUIREMENTS))).keys() == {"numpy"}
    assert dict(unnamed(launch["packages"], REQUIREMENTS.replace("numpy==2", "numpy==1"))).keys() == {"numpy"}


# --- the launch ----------------------------------------------------------------------------------------

class Server:
    """Binder's server, as a reader's browser meets it."""

    def __init__(self, address, token, home):
        self.address, self.headers, self.home = address, {"Authorization": f"token {token}"}, home

    def ask(self, method, path, **options):
        answer = requests.request(method, f"http://{self.address}{path}", headers=self.headers, timeout=60, **options)
        answer.raise_for_status()
        return answer

    def opens(self, urlpath):
        """The file or folder that JupyterLab opens at this path."""
        page = BeautifulSoup(self.ask("GET", urlpath).text, "html.parser")
        return json.loads(page.find(id="jupyter-config-data").string)["treePath"]

    def contents(self, path):
        return nbformat.from_dict(self.ask("GET", f"api/contents/{path}").json()["content"])

    def run(self, path, whole):
        """The notebook, run in a kernel of its own: its setup cell, or as a whole. Raises outputs.Problem where a cell fails."""
        nb = self.contents(path)
        wanted = {"path": path, "name": "", "type": "notebook", "kernel": {"name": nb.metadata.kernelspec.name}}
        session = self.ask("POST", "api/sessions", json=wanted).json()
        channels = f"ws://{self.address}api/kernels/{session['kernel']['id']}/channels"
        with contextlib.closing(websocket.create_connection(channels, header=self.headers, timeout=10)) as kernel:
            for index, cell in enumerate(nb.cells):
                if cell.cell_type == "code" and (whole or "setup" in cell.metadata.tags):
                    cell.outputs = list(execute(kernel, cell.source))
                    for output in cell.outputs:
                        if output.output_type == "error":
                            where = outputs.where(nb, Path(path), index)
                            raise outputs.Problem(f"{where} stopped with {output.ename}: {output.evalue}")
        self.ask("DELETE", f"api/sessions/{session['id']}")
        return CoalesceStreamsPreprocessor().preprocess(nb, {})[0]


def execute(kernel, code):
    """Run one cell and yield its outputs. Raises TimeoutError if it does not end."""
    request, last = Session().msg("execute_request", {"code": code, "silent": False}), time.monotonic() + SECONDS
    kernel.send(json.dumps(request | {"channel": "shell"}, default=str))
    while time.monotonic() < last:
        try:
            message = json.loads(kernel.recv())
        except websocket.WebSocketTimeoutException:
            continue
        if message["channel"] != "iopub" or message["parent_header"].get("msg_id") != request["msg_id"]:
            continue
        if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
            yield nbformat.v4.output_from_msg(message)
        elif message["content"].get("execution_state") == "idle":
            return
    raise TimeoutError(f"no end after {SECONDS} s: {code}")


@pytest.fixture(scope="module")
def server(environment, planned, tmp_path_factory):
    """JupyterLab over the files that are copied, started as BinderHub's BinderSpawnerMixin does."""
    image = tmp_path_factory.mktemp("image")
    planned.files.extractall(image, filter="data")
    home, log, token = image / "src", image / "log", secrets.token_hex()
    port = free_port()
    options = ["base_url=/user/reader/", f"token={token}", "trust_xheaders=True", "allow_origin=*", "allow_origin_pat=.*"]
    command = [environment / "bin" / "jupyter-lab", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
               *(f"--{app}.{option}" for app in ("NotebookApp", "ServerApp") for option in options)]
    env = {"PATH": f"{environment}/bin:/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8", "MPLCONFIGDIR": str(environment),
           "NB_PYTHON_PREFIX": str(environment)}
    for script in planned.after_the_copy:
        run(home / script, cwd=home, env=env)
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=home, env=env, stdout=file, stderr=file)
    server = Server(f"127.0.0.1:{port}/user/reader/", token, home)
    try:
        for _ in range(240):
            assert process.poll() is None, log.read_text()
            time.sleep(0.25)
            with contextlib.suppress(requests.ConnectionError):
                server.ask("GET", "api/status")
                break
        yield server
    finally:
        process.terminate()
        process.wait(30)


def test_the_launch_links_open_the_chapters(server):
    for path in CHAPTERS:
        link = repository.binder("https://github.com/owner/fork", "main", path)
        assert server.opens(parse_qs(urlsplit(link).query)["urlpath"][0]) == path
        assert all(cell.metadata.trusted for cell in server.contents(path).cells if cell.cell_type == "code"), "figures are hidden"


def test_nobody_is_asked_about_news(server):
    settings = server.ask("GET", "lab/api/settings/@jupyterlab/apputils-extension:notification").json()
    assert settings["schema"]["properties"]["fetchNews"]["default"] == "false"


def test_the_url_in_the_readme_opens_the_list_of_chapters(server):
    url = re.search(r"ask for the URL `(.+?)`", (ROOT / "README.md").read_text(encoding="utf-8"))[1]
    assert {file.path for file in server.contents(server.opens(url))} >= set(CHAPTERS)


def difference(server, path, whole=True):
    """How a run on Binder differs from what is stored, in a sentence; "" if it does not."""
    try:
        new, old = server.run(path, whole), server.contents(path)
    except (outputs.Problem, TimeoutError) as problem:
        return str(problem)
    for index, (ran, stored) in enumerate(zip(new.cells, old.cells)):
        now, then = without_pictures(ran), without_pictures(stored)
        if now != then:
            return f"{outputs.where(new, Path(path), index)} printed {now}; stored is {then}"
    return ""


@pytest.mark.parametrize("path", CHAPTERS)
def test_a_chapter_finds_what_it_needs_and_one_prints_what_is_stored(path, server):
    assert not difference(server, path, whole=path == WHOLE)


@pytest.mark.parametrize("source, said", [
    ("import torch", "(import torch) stopped with ModuleNotFoundError: No module named 'torch'"),
    ("import conftest", "(import conftest) stopped with ModuleNotFoundError: No module named 'conftest'"),
    ("print(0.5)", "(print(0.5)) printed [{'output_type': 'stream', 'name': 'stdout', 'text': '0.5\\n'}]; stored is []"),
])
def test_a_chapter_that_fails_on_binder_is_named(source, said, server):
    cell = nbformat.v4.new_code_cell(source)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=outputs.NOTEBOOK_METADATA), server.home / "chapters/q99-example.ipynb")
    assert difference(server, "chapters/q99-example.ipynb") == f'q99-example, under "": cell 1 {said}'
