"""A batch on a Ray cluster: each notebook, its file of prompts and the claims files beside it travel out, and all it left
travels back.

No file system need be shared: stores and ledgers are only ever added to, under names that never repeat, so what a machine
added is copied in. Every machine needs this package. Models are fetched where they are used; the folder of a local model must
be on every machine, which is looked at before anything is sent.
"""

import io
import tempfile
import zipfile
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError
from workbench.notebooks.batch.journal import Ended, code_version, path_revision
from workbench.notebooks.batch.plan import Execution
from workbench.notebooks.batch.process import execute_apart
from workbench.sweeps.cluster import choose_cluster, join_cluster


def on_ray(
    executions: Sequence[tuple[Execution, str]], runs: Path, jobs: int | None, tell: Callable[[Execution], None]
) -> Generator[Ended, None, None]:
    """Execute notebooks, each with its content key, on the cluster of ``RAY_ADDRESS``, or on one started here.

    Args:
        executions: what to run.
        runs: where results go on this machine.
        jobs: how many at a time; None for as many as the cluster has room for, with a GPU each where there are any.
        tell: called with each execution that is sent out.

    Raises:
        WorkbenchError: Ray is not installed, the cluster has no room, or a machine lacks the folder of a local model.
    """
    with join_cluster() as ray:
        where = replace(choose_cluster("ray"), workers=jobs)
        workers, gpus, cpus, _ = where.room(ray.nodes())
        _check_folders(ray, [execution for execution, _ in executions])
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=where.restarts)(_execute_there)
        waiting, running = list(executions), dict[Any, tuple[Execution, str]]()
        while waiting or running:
            while waiting and len(running) < workers:
                execution, key = waiting.pop(0)
                tell(execution)
                sources = {execution.notebook.name: execution.notebook.read_bytes(), **execution.claims}
                execution, files = _packed(execution)
                sources |= files
                running[task.remote(execution, key, sources, cpus, code_version())] = (execution, key)
            (ended,), _ = ray.wait(list(running), num_returns=1)
            yield _fetch(ray, ended, *running.pop(ended), runs)


def _packed(execution: Execution) -> tuple[Execution, dict[str, bytes]]:
    """An execution whose prompts are called as where it runs, beside its notebook; and what the file holds, by that name."""
    prompts = execution.own_paths.get("prompts")
    if prompts is None or not prompts.is_file():
        return execution, {}
    name = f"prompts-{prompts.name}"
    return replace(execution, moved={"prompts": name}), {name: prompts.read_bytes()}


def _check_folders(ray: Any, executions: Sequence[Execution]) -> None:
    """Refuse a model that lies on this machine where a machine of the cluster has none, or another, at the same path."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    paths = {
        path: f"{name}={path}"
        for execution in executions
        for name, path in execution.own_paths.items()
        if name != "prompts"
    }
    if not paths:
        return
    ours, look = _revisions(list(paths)), ray.remote(num_cpus=0)(_revisions)
    for node in (node for node in ray.nodes() if node["Alive"]):
        at = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        theirs = ray.get(look.options(scheduling_strategy=at).remote(list(paths)))
        refuse_other(paths, ours, theirs, node["NodeManagerAddress"])


def _revisions(paths: Sequence[Path]) -> dict[Path, str]:
    """What lies at some paths of the machine that runs this."""
    return {path: path_revision(path) for path in paths}


def refuse_other(named: Mapping[Path, str], ours: Mapping[Path, str], theirs: Mapping[Path, str], where: str) -> None:
    """Raise WorkbenchError for a path at which a machine has not what this one has.

    >>> there = Path("/models/mine")
    >>> refuse_other({there: "base_model=/models/mine"}, {there: "3f"}, {there: ""}, "10.0.0.2")
    Traceback (most recent call last):
    workbench._errors.WorkbenchError: base_model=/models/mine is on this machine, and 10.0.0.2 has nothing there; nothing was sent. ...
    """
    for path, revision in ours.items():
        if theirs[path] != revision:
            raise WorkbenchError(
                f"{named[path]} is on this machine, and {where} has {'another one' if theirs[path] else 'nothing'} there; nothing "
                "was sent. Copy it to the same path of every machine, name a model that each can fetch, or use --on local"
            )


def _fetch(ray: Any, ended: Any, execution: Execution, key: str, runs: Path) -> Ended:
    """What a task left, unpacked here; how it ended where the task itself failed."""
    try:
        end, archive = ray.get(ended)
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines()[-1]
        return Ended(
            execution.name, key, "", 0.0, f"Ray: {said}", -1, f"{execution.name}.ipynb", f"{execution.name}.log"
        )
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(runs)
    return end


def _execute_there(
    execution: Execution, key: str, sources: Mapping[str, bytes], threads: int, code: str
) -> tuple[Ended, bytes]:
    """On the machine that runs a notebook: execute it in a folder of its own, and pack that."""
    if code != code_version():
        raise WorkbenchError(
            "this machine has other code or versions of the package than the one that started the batch"
        )
    with tempfile.TemporaryDirectory() as folder:
        notebook = Path(folder) / "notebooks" / execution.notebook.name
        notebook.parent.mkdir()
        for name, content in sources.items():
            (notebook.parent / name).write_bytes(content)
        runs = Path(folder) / "runs"
        moved = {name: str(notebook.parent / str(file)) for name, file in execution.moved.items()}
        end = execute_apart(replace(execution, notebook=notebook, moved=moved), key, runs, threads)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(p for p in runs.rglob("*") if not p.name.startswith(".")):
                packed.write(path, path.relative_to(runs))
        return end, archive.getvalue()
