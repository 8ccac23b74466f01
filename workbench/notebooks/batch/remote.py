"""The cells of a batch on a Ray cluster: the notebook and claims files beside it travel out, and all it left travels back.

No file system need be shared: stores and ledgers are only ever added to, under names that never repeat, so what a machine
added is copied in. Every machine needs this package; models are fetched where they are used.
"""

import io
import tempfile
import zipfile
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError
from workbench.notebooks.batch.journal import Record, code_version
from workbench.notebooks.batch.plan import Cell
from workbench.notebooks.batch.process import run_cell
from workbench.sweeps.cluster import choose_cluster, join_cluster


def on_ray(
    cells: Sequence[tuple[Cell, str]], runs: Path, jobs: int | None, started: Callable[[Cell], None]
) -> Generator[Record, None, None]:
    """Execute cells, each with its content key, on the cluster of ``RAY_ADDRESS``, or on one started here.

    Args:
        cells: what to run. runs: where results go on this machine.
        jobs: how many at a time; None for as many as the cluster has room for, with a GPU each where there are any.
        started: called with each cell that is sent out.

    Raises:
        WorkbenchError: Ray is not installed, or the cluster has no room.
    """
    with join_cluster() as ray:
        where = replace(choose_cluster("ray"), workers=jobs)
        workers, gpus, cpus, _ = where.room(ray.nodes())
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=where.restarts)(_there)
        waiting, running = list(cells), dict[Any, tuple[Cell, str]]()
        while waiting or running:
            while waiting and len(running) < workers:
                cell, key = waiting.pop(0)
                started(cell)
                sources = {cell.notebook.name: cell.notebook.read_bytes(), **cell.claims}
                running[task.remote(cell, key, sources, cpus, code_version())] = (cell, key)
            (ended,), _ = ray.wait(list(running), num_returns=1)
            yield _fetched(ray, ended, *running.pop(ended), runs)


def _fetched(ray: Any, ended: Any, cell: Cell, key: str, runs: Path) -> Record:
    """What a task left, unpacked here; a record of the failure where the task itself failed."""
    try:
        record, archive = ray.get(ended)
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines()[-1]
        return Record(cell.name, key, "", 0.0, f"Ray: {said}", -1, f"{cell.name}.ipynb", f"{cell.name}.log")
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(runs)
    return record


def _there(cell: Cell, key: str, sources: Mapping[str, bytes], threads: int, code: str) -> tuple[Record, bytes]:
    """On the machine that runs a cell: execute it in a folder of its own, and pack that."""
    if code != code_version():
        raise WorkbenchError(
            "this machine has other code or versions of the package than the one that started the batch"
        )
    with tempfile.TemporaryDirectory() as folder:
        notebook = Path(folder) / "notebooks" / cell.notebook.name
        notebook.parent.mkdir()
        for name, content in sources.items():
            (notebook.parent / name).write_bytes(content)
        runs = Path(folder) / "runs"
        record = run_cell(replace(cell, notebook=notebook), key, runs, threads)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(p for p in runs.rglob("*") if not p.name.startswith(".")):
                packed.write(path, path.relative_to(runs))
        return record, archive.getvalue()
