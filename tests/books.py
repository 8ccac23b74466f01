"""Small notebooks that papermill really runs, in a folder as a batch wants it."""

import nbformat

PARAMETERS = "model = ''\nprofile = ''\nseed = 0\nout = ''"
#: leaves a file for every execution, so that repeats are counted; needs nothing but Python
MARK = "import os, time, uuid\nfrom pathlib import Path\n(Path(out) / uuid.uuid4().hex).write_text('ran')"


def write(path, *cells, parameters=PARAMETERS):
    """A notebook with a parameters cell and these code cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    book.cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    book.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(book, path)
    return path


def executions(runs):
    """How often each cell was executed to the end of ``MARK``, by the name of its folder of results."""
    found = {}
    for path in runs.glob("*/*/*/*"):
        if len(path.name) == 32:
            found[path.parent.name] = found.get(path.parent.name, 0) + 1
    return found
