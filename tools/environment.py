"""Bring .venv up to date with the given requirements files (every `make` command starts here).

Runs on any Python, so that an old one is told so in a sentence. Does nothing when
.venv was already made by this Python from these very files.
"""
import importlib.util
import os
import subprocess
import sys

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin", "python")
LOG = os.path.join(VENV, "setup.log")
VERSION = "Python {}.{}\n".format(*sys.version_info)
# What pip says when it cannot reach its index.
OFFLINE = ("NewConnectionError", "ConnectionError", "name resolution", "Max retries", "timed out",
           "Could not find a version", "No matching distribution")


def stop(sentence):
    sys.exit("\n" + sentence)


def read(path):
    with open(path) as file:
        return file.read()


def stamp(requirements):
    """The file in .venv that says from which requirements, by which Python, it was made."""
    return os.path.join(VENV, requirements.replace("/", "-"))


def up_to_date(requirements):
    path = stamp(requirements)
    return os.path.exists(path) and read(path) == VERSION + read(os.path.join(ROOT, requirements))


def made_by_this_python():
    if not os.path.exists(PYTHON):
        return False
    asked = subprocess.run([PYTHON, "-c", "import sys; print('Python {}.{}'.format(*sys.version_info))"],
                           stdout=subprocess.PIPE, universal_newlines=True)
    return asked.stdout == VERSION


def run(*command):
    with open(LOG, "a") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
    if done.returncode:
        said = read(LOG)
        if "No space left on device" in said:
            stop("The disk is full: free about 1 GB, then run the same command again.")
        if any(word in said for word in OFFLINE):
            stop("The packages could not be downloaded: check the network connection, then run the same "
                 "command again (what pip said: {}).".format(os.path.relpath(LOG, ROOT)))
        stop("Setting up .venv failed; the reason is in {}. `make clean` and the same command start afresh."
             .format(os.path.relpath(LOG, ROOT)))


def main(files):
    if sys.version_info < OLDEST:
        stop("This is Python {}.{}, and the book needs 3.11 or newer: install one, then name it, "
             "as in `make PYTHON=python3.12 book`.".format(*sys.version_info))
    missing = [name for name in files if not up_to_date(name)]
    if not missing:
        return
    if importlib.util.find_spec("ensurepip") is None:
        stop("This Python has no venv: install it (Debian and Ubuntu: sudo apt install python3-venv), "
             "then run the same command again.")
    print("Setting up .venv with {} (the first time this takes a minute or two) ...".format(VERSION.strip()),
          flush=True)
    if not made_by_this_python():
        import venv  # not at the top: Python 2 has none
        venv.create(VENV, clear=True, with_pip=True)
    open(LOG, "w").close()
    run(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *[arg for name in missing for arg in ("-r", name)])
    for name in missing:
        with open(stamp(name), "w") as file:
            file.write(VERSION + read(os.path.join(ROOT, name)))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        stop("Cannot write to {} ({}): copy the book to a folder of your own, then run the same command there."
             .format(ROOT, error.strerror))
