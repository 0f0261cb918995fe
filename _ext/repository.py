"""Find out where this copy of the book lives, so that a fork's links lead to the fork.

BOOK_REPOSITORY_URL says it, else GitHub Actions' own variables, else the git remote `origin`. With none of them the
book has no such links: Jupyter Book would fill in its own repository. BOOK_HUB_URL is the address of a class's
JupyterHub, where there is one.
"""
import os
import re
import subprocess
from pathlib import Path

# https://host/owner/name, or git@host:owner/name; a user or token in front of the host is dropped.
REMOTE = re.compile(r"(?:(?:https?|ssh|git)://)?(?:[^@/\s]*@)?(github\.com|gitlab\.com)(?::\d+/|[:/])([\w.-]+/[\w.-]+?)(?:\.git)?/?")


def git(folder, *arguments):
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def where(folder, env=os.environ):
    """(https://host/owner/name or "", branch)."""
    url = env.get("BOOK_REPOSITORY_URL")
    if not url and env.get("GITHUB_REPOSITORY"):
        url = f"{env.get('GITHUB_SERVER_URL', 'https://github.com')}/{env['GITHUB_REPOSITORY']}"
    known = REMOTE.fullmatch((url or git(folder, "remote", "get-url", "origin")).strip())
    pushed = env.get("GITHUB_REF_NAME") if env.get("GITHUB_REF_TYPE") == "branch" and "/" not in env["GITHUB_REF_NAME"] else ""
    branch = env.get("BOOK_REPOSITORY_BRANCH") or pushed or git(folder, "symbolic-ref", "--short", "-q", "HEAD") or "main"
    return (f"https://{known[1]}/{known[2]}" if known else ""), branch


def binder(url, branch, path):
    """The address that opens a file of the repository in JupyterLab on Binder; "" where Binder cannot."""
    if not url.startswith("https://github.com/"):
        return ""
    return f"https://mybinder.org/v2/gh/{url.removeprefix('https://github.com/')}/{branch}?urlpath=lab/tree/{path}"


def links(app, config):
    config.book_repository, config.book_branch = where(app.srcdir)
    if not config.book_repository:
        return
    launch = {"notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org", "jupyterhub_url": os.environ.get("BOOK_HUB_URL", "")}
    if config.book_repository.startswith("https://github.com/"):
        launch["colab_url"] = "https://colab.research.google.com"
    config.html_theme_options |= {
        "repository_url": config.book_repository, "repository_branch": config.book_branch,
        "use_repository_button": True, "use_issues_button": True, "launch_buttons": launch,
    }


def addressed(text, config):
    """A page's or notebook's text, in which the repository is named."""
    return text.replace("https://github.com/OWNER/NAME", config.book_repository) if config.book_repository else text


def read(app, docname, source):
    source[0] = addressed(source[0], app.config)


def finished(app, exception):
    """The notebooks to download are copies of the files; name the repository in them, too."""
    if exception is None and app.builder.format == "html" and app.config.book_repository:
        for path in Path(app.outdir, "_sources").rglob("*.ipynb"):
            path.write_text(addressed(path.read_text(encoding="utf-8"), app.config), encoding="utf-8", newline="\n")


def setup(app):
    app.add_config_value("book_repository", "", "env")
    app.add_config_value("book_branch", "", "html")
    app.connect("config-inited", links)
    app.connect("source-read", read)
    app.connect("build-finished", finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
