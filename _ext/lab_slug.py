"""Name headings as JupyterLab does, so that one link works there and in the book."""


def slug(heading):
    return heading.replace(" ", "-")
