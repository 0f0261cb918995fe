"""What GitHub does with this repository. It cannot be run here, so the files are checked as GitHub reads them."""
import os
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from ruamel.yaml import YAML

GITHUB = ROOT / ".github"
DEPENDABOT = GITHUB / "dependabot.yml"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
BOOK, WEEKLY = WORKFLOWS


def load(path):
    return YAML(typ="safe").load(path)


def steps(path, job=None):
    return [step for name, described in load(path)["jobs"].items() if job in (None, name) for step in described["steps"]]


def runs(path, job=None):
    return [step["run"] for step in steps(path, job) if "run" in step]


# --- the form ----------------------------------------------------------------------------------------

def schema(name, *files):
    """What check-jsonschema says of the files; "" if they fit. The schemas come with it: it asks no network."""
    done = subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", name, *files], capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def actionlint(*files):
    """What actionlint says. Without shellcheck and pyflakes, which not every machine has, it says the same everywhere."""
    program = shutil.which("actionlint", path=sysconfig.get_path("scripts"))
    return subprocess.run([program, "-no-color", "-shellcheck=", "-pyflakes=", *files], capture_output=True, text=True).stdout


def test_the_files_fit_the_schemas():
    assert not schema("vendor.github-workflows", *WORKFLOWS)
    assert not schema("vendor.dependabot", DEPENDABOT)


def test_every_job_ends_in_time():
    assert not schema("custom.github-workflows-require-timeout", *WORKFLOWS)


def test_actionlint_finds_nothing():
    assert not actionlint(*WORKFLOWS)


@pytest.mark.parametrize("right, wrong, said", [
    ("runs-on: ubuntu-latest", "run-on: ubuntu-latest", '"run-on"'),
    ("steps.pages.outputs.publish", "steps.page.outputs.publish", '"page" is not defined'),
    ("needs.book.outputs.publish", "needs.book.outputs.published", '"published" is not defined'),
    ("github.event_name == 'pull_request'", "github.event_nam == 'pull_request'", '"event_nam" is not defined'),
    ("hashFiles('", "hashFile('", 'undefined function "hashFile"'),
    ("cache-dependency-path:", "cache-dependency:", '"cache-dependency" is not defined'),
    ("id-token: write", "id-token: admin", '"admin"'),
])
def test_actionlint_sees_a_mistake(right, wrong, said, tmp_path):
    text = BOOK.read_text()
    assert right in text
    (tmp_path / "book.yml").write_text(text.replace(right, wrong))
    assert said in actionlint(tmp_path / "book.yml")


@pytest.mark.parametrize("path, name, right, wrong", [
    (BOOK, "github-workflows", "runs-on:", "run-on:"),
    (DEPENDABOT, "dependabot", "ignore:", "ignores:"),
    (DEPENDABOT, "dependabot", "monthly", "mothly"),
])
def test_the_schemas_see_a_mistake(path, name, right, wrong, tmp_path):
    (tmp_path / path.name).write_text(path.read_text().replace(right, wrong))
    assert schema(f"vendor.{name}", tmp_path / path.name)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_has_a_version(path):
    """GitHub's own by major version, which they move on; anybody else's by commit, which nobody can move."""
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@v\d+|[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])


# --- what is done, and what is allowed -----------------------------------------------------------------

def test_the_book_is_tested_built_and_uploaded_in_this_order():
    done = [step.get("run") or step["uses"].partition("@")[0] for step in steps(BOOK, "book")]
    wanted = [".ci/run", "make pdf", "actions/upload-artifact", "actions/upload-artifact", "actions/upload-pages-artifact"]
    assert [step for step in done if step in wanted] == wanted
    assert next(step for step in steps(BOOK) if "upload-pages" in step.get("uses", ""))["with"] == {"path": "_build/html"}
    assert [step["with"]["path"] for step in steps(BOOK) if "upload-artifact" in step.get("uses", "")] \
        == ["_build/prove-it.pdf", "_build/html/prove-it.apkg"]


def test_a_fork_changes_nothing():
    """No name of an owner, a branch or a secret: everything comes from what GitHub says of the repository."""
    assert load(BOOK)["on"]["push"] == {"branches": ["**"]}
    default = "github.ref_name == github.event.repository.default_branch"
    assert load(BOOK)["jobs"]["book"]["if"] == f"github.event_name != 'push' || {default}"
    assert next(step for step in steps(BOOK) if step.get("id") == "pages")["if"] == f"github.event_name != 'pull_request' && {default}"
    for path in WORKFLOWS:
        assert "secrets." not in path.read_text()


@pytest.mark.parametrize("answer, publish", [("echo workflow", True), ("echo legacy", False), ("echo Not Found >&2; exit 1", False)],
                         ids=["on", "from a branch", "off"])
def test_published_only_where_pages_is_on(answer, publish, tmp_path):
    """The step itself, with another `gh`; where Pages is off it does not fail, and says what to do."""
    (tmp_path / "gh").write_text(f"#!/bin/sh\n{answer}\n")
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "output").touch()
    env = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "GITHUB_OUTPUT": str(tmp_path / "output"),
                        "GITHUB_REPOSITORY": "owner/fork"}
    script = next(step["run"] for step in steps(BOOK) if step.get("id") == "pages")
    done = subprocess.run(["bash", "-e", "-c", script], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output").read_text() == ("publish=true\n" if publish else "")
    assert ("GitHub Actions as the source in Settings > Pages" in done.stdout) is not publish
    assert load(BOOK)["jobs"]["publish"]["if"] == "needs.book.outputs.publish == 'true'"


def test_least_permissions():
    allowed = {(path.stem, name): job["permissions"] for path in WORKFLOWS for name, job in load(path)["jobs"].items()}
    assert allowed == {
        ("book", "book"): {"contents": "read", "pages": "read"},
        ("book", "publish"): {"pages": "write", "id-token": "write"},
        ("weekly", "newest"): {"contents": "read"},
        ("weekly", "links"): {"contents": "read"},
    }
    for path in WORKFLOWS:
        assert load(path)["permissions"] == {}
        for step in steps(path):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"] == {"persist-credentials": False}


def test_publishing_is_never_cut_off():
    assert load(BOOK)["concurrency"]["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_python_is_one_that_the_readme_permits(path):
    oldest, newest = (int(minor) for minor in re.search(r"Python 3\.(\d+) to 3\.(\d+)", (ROOT / "README.md").read_text(encoding="utf-8")).groups())
    for step in steps(path):
        if step.get("uses", "").startswith("actions/setup-python@"):
            versions = step["with"]["python-version"].split()
            assert versions
            assert set(versions) <= {f"3.{minor}" for minor in range(oldest, newest + 1)}


def test_the_tests_have_binders_python():
    python = (ROOT / ".binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    tested = [step["with"]["python-version"].split() for step in [*steps(BOOK, "book"), *steps(WEEKLY, "newest")] if "setup-python" in step.get("uses", "")]
    assert len(tested) == 2 and all(python in versions for versions in tested)


def test_the_cache_is_made_anew_with_what_it_is_made_from():
    cache = next(step["with"] for step in steps(BOOK) if step.get("uses", "").startswith("actions/cache@"))
    assert cache["path"] == "~/.cache/prove-it"
    patterns = re.findall(r"'([^']+)'", cache["key"])
    assert {"tools/runtime.py", "tools/precompile.mjs", "assets/live/*", "**/requirements.txt"} == set(patterns)
    assert all(any(ROOT.glob(pattern)) for pattern in patterns)


def test_every_week_the_newest_versions_are_tested_and_the_links_tried():
    (schedule,) = load(WEEKLY)["on"]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule["cron"])
    newest = runs(WEEKLY, "newest")
    assert newest.index("make pins") < newest.index(".ci/run")
    assert runs(WEEKLY, "links") == ["make book"]
    assert steps(WEEKLY, "links")[-1]["uses"].startswith("lycheeverse/lychee-action@")


# --- newer versions ----------------------------------------------------------------------------------

def ignored():
    """{package: the versions of it that Dependabot does not propose}."""
    python = next(update for update in load(DEPENDABOT)["updates"] if update["package-ecosystem"] == "uv")
    return {rule["dependency-name"]: SpecifierSet(",".join(rule["versions"])) for rule in python["ignore"]}


def caps():
    """(package, a version that its line in a requirements.in rules out), for each line that rules one out."""
    for name in ("requirements.in", "tests/requirements.in"):
        lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
        for asked in (Requirement(line) for line in lines if line and not line.startswith("-")):
            for limit in asked.specifier:
                if limit.operator in ("==", "<"):
                    yield asked.name, limit.version if limit.operator == "<" else f"{int(limit.version.partition('.')[0]) + 1}.0"


def test_dependabot_proposes_nothing_that_is_held_back():
    held = list(caps())
    assert {name for name, _ in held} == ignored().keys(), "a version held back in a requirements.in needs an `ignore` in dependabot.yml"
    assert not [(name, version) for name, version in [*held, ("jupyter-book", "2.0.0"), ("sphinx-book-theme", "1.3.0")]
                if version not in ignored()[name]]


def test_dependabot_may_propose_what_is_pinned():
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert not [name for name, versions in ignored().items() if pinned[name] in versions]


def test_dependabot_sees_every_list_of_versions_and_groups_what_it_proposes():
    updates = {update["package-ecosystem"]: update for update in load(DEPENDABOT)["updates"]}
    assert updates.keys() == {"uv", "npm", "github-actions"}
    for folder in updates["uv"]["directories"]:
        assert (ROOT / folder.strip("/") / "requirements.txt").is_file()
    assert {"/", "/tests", "/.binder"} == set(updates["uv"]["directories"])
    assert (ROOT / updates["npm"]["directory"].strip("/") / "package-lock.json").is_file()
    for update in updates.values():
        assert update["schedule"] == {"interval": "monthly"}
        (group,) = update["groups"].values()
        assert group == {"patterns": ["*"]}


@pytest.mark.parametrize("name", ["requirements.txt", "tests/requirements.txt"])
def test_dependabot_compiles_as_make_pins_does(name):
    """It takes the options out of the compiled file; without --universal it would drop what other systems need."""
    options = re.search(r"^PINNED_FOR := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert "--universal" in options
    assert (ROOT / name).read_text().splitlines()[1] == f"#    make pins  # uv pip compile {options}"
