"""Write every page again when something has changed that stands in all of them, and else only the pages that changed.

Sphinx itself sees the settings. It does not see a new title (in every page's list of chapters), a heading that is gone
(and links to it), the style sheet and the scripts, or the code that runs in the page.
"""
import hashlib
from pathlib import Path

ASSETS = Path(__file__).parent.parent / "assets"


def everywhere(app, env):
    titles = sorted((docname, title.astext()) for docname, title in env.titles.items())
    headings = sorted((docname, sorted(data.get("myst_slugs", ()))) for docname, data in env.metadata.items())
    stands = hashlib.sha256(repr([titles, headings, env.book_terms, getattr(app, "live_data", "")]).encode())
    for path in sorted(path for path in ASSETS.rglob("*") if path.is_file()):
        stands.update(path.read_bytes())
    before, env.book_everywhere = getattr(env, "book_everywhere", None), stands.hexdigest()
    return env.found_docs if env.book_everywhere != before else []


def setup(app):
    app.connect("env-updated", everywhere)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
