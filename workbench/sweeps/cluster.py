"""Sweeps on many machines: Ray Data over workers that each hold the model, one per GPU or per share of the CPUs.

The driver (the process that calls ``sweep``) encodes the prompts, sends out batches of rows, and writes what comes back
to its store, so that no file system need be shared. Ray starts a dead worker again and repeats the batch it held.
"""

import copy
import pickle
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from workbench._errors import WorkbenchError
from workbench.generation.memory import Room
from workbench.generation.vllm_engine import VLLM
from workbench.models.identity import memory_hash
from workbench.models.load import EXACT, from_modules, load
from workbench.models.model import Loading, Model
from workbench.sweeps.rows import Decoding, Job, complete_rows

if TYPE_CHECKING:
    import pandas as pd


#: CPUs of a worker on machines without GPUs: a forward pass gains little from more, and each worker holds a whole model.
_CPU_SHARE = 4


#: Batches that a worker is sent at a time, at most; and how often it is sent some, unless batches get too small for it.
_BATCHES = 4


@dataclass(frozen=True)
class Ray:
    """The workers of ``sweep(..., on=Ray(...))``. ``on="ray"`` is ``Ray()``.

    Attributes:
        workers: number of workers; by default as many as fit on the cluster.
        gpus: GPUs per worker; by default 1 if the cluster has any, else 0. A model that needs several GPUs is loaded with
            ``device_map="auto"`` and spread over those of its worker.
        cpus: CPUs, and threads, per worker; by default 1 with a GPU, else 4, or all CPUs of the largest machine if it
            has fewer.
        restarts: how often a worker may be restarted, and a batch retried, before the sweep ends with an error.

    >>> Ray(workers=2, cpus=1)
    Ray(workers=2, gpus=None, cpus=1, restarts=3)
    """

    workers: int | None = None
    gpus: int | None = None
    cpus: int | None = None
    restarts: int = 3

    def __post_init__(self) -> None:
        for name, least in {"workers": 1, "gpus": 0, "cpus": 1, "restarts": 0}.items():
            value = getattr(self, name)
            given = isinstance(value, int) and not isinstance(value, bool) and value >= least
            if not given and (value is not None or name == "restarts"):
                raise WorkbenchError(f"{name}={value!r:.60} of Ray: expected a whole number, at least {least}")

    def stream(
        self, model: Model, rows: Sequence[Job], decoding: Decoding, batch_size: int, vllm: VLLM | None = None
    ) -> Generator["pd.DataFrame", None, None]:
        """The completions of some rows, in parts, as the workers finish them.

        Joins the cluster of ``ray.init`` or ``RAY_ADDRESS``; if there is none, starts one on this machine and stops it.

        Raises:
            WorkbenchError: Ray is not installed, the cluster has no room for the workers, a worker loads other weights
                than the driver, or workers keep dying.
        """
        with join_cluster() as ray:
            yield from self._stream_from(ray, model, rows, decoding, batch_size, vllm)

    def _stream_from(
        self, ray: Any, model: Model, rows: Sequence[Job], decoding: Decoding, batch_size: int, vllm: VLLM | None
    ) -> Generator["pd.DataFrame", None, None]:
        import pandas as pd
        import ray.data

        several = vllm is not None and vllm.gpus > 1 and self.gpus is None
        workers, gpus, cpus, together = (replace(self, gpus=vllm.gpus) if several and vllm else self).room(ray.nodes())
        size = _rows_per_call(len(rows), workers, batch_size)
        blocks = [pd.DataFrame({"row": range(i, min(i + size, len(rows)))}) for i in range(0, len(rows), size)]
        source = model.loading or ray.put(_ShippedModel.of(model))
        orders = _Orders(model.name, model.revision, source, decoding, batch_size, cpus, 1 if gpus else together, vllm)
        with warnings.catch_warnings():  # Ray means to drop the last two; pyproject.toml stops before it does
            warnings.simplefilter("ignore", DeprecationWarning)
            done = ray.data.from_pandas(blocks).map_batches(
                _Worker,
                fn_constructor_args=(orders, ray.put(pickle.dumps(list(rows)))),
                batch_size=None,
                batch_format="pandas",
                compute=ray.data.ActorPoolStrategy(size=min(workers, len(blocks)), max_tasks_in_flight_per_actor=2),
                num_cpus=cpus,
                num_gpus=gpus,
                max_restarts=self.restarts,
                max_task_retries=self.restarts,
            )
        done.context.enable_progress_bars = False
        try:
            for batch in done.iter_batches(batch_size=None, batch_format="pandas", prefetch_batches=0):
                yield pd.DataFrame({name: batch[name].tolist() for name in batch})  # pandas' own types again
        except ray.exceptions.RayError as error:
            raise _explain(error, self.restarts) from error

    def room(self, nodes: Sequence[dict]) -> tuple[int, int, int, int]:
        """Workers that fit the machines of a cluster (as ``ray.nodes`` lists them), the GPUs and CPUs of each, and how many
        of them one machine may have to hold.
        """
        machines = [node["Resources"] for node in nodes if node["Alive"]]
        most = {kind: max((int(m.get(kind, 0)) for m in machines), default=0) for kind in ("GPU", "CPU")}
        gpus = min(most["GPU"], 1) if self.gpus is None else self.gpus
        cpus = (1 if gpus else min(most["CPU"], _CPU_SHARE)) if self.cpus is None else self.cpus
        if cpus < 1:
            raise WorkbenchError(f"{self}: the machines have {most}, so no worker has a CPU")
        shares = [(int(m.get("CPU", 0)) // cpus, int(m.get("GPU", 0)) // gpus if gpus else None) for m in machines]
        places = [cpu if gpu is None else min(cpu, gpu) for cpu, gpu in shares]
        fit = sum(places)
        wanted = self.workers or max(fit, 1)
        if fit < wanted:
            raise WorkbenchError(
                f"the Ray cluster has room for {fit} of {wanted} workers with {gpus} GPUs and {cpus} CPUs each; its largest "
                f"machine has {most['GPU']} GPUs and {most['CPU']} CPUs. Give wb.Ray(workers=…, gpus=…, cpus=…) that fit"
            )
        return wanted, gpus, cpus, min(wanted, max(places))


def _rows_per_call(rows: int, workers: int, batch_size: int) -> int:
    """Rows that a worker is sent at a time: enough that waiting ones can take the places of those that have ended, and
    few enough that all workers end at about the same time and little is lost when one dies.
    """
    whole, often = min(batch_size, -(-rows // workers)), -(-rows // (_BATCHES * workers))
    return min(_BATCHES * batch_size, max(whole, often))


def choose_cluster(on: str | Ray) -> Ray:
    """What ``sweep(on=…)`` names. Raises WorkbenchError for a name that is not "ray"."""
    if isinstance(on, Ray):
        return on
    if on != "ray":
        raise WorkbenchError(f"on={on!r}: expected 'local', 'ray' or wb.Ray(workers=…)")
    return Ray()


@dataclass(frozen=True)
class _Orders:
    """What a worker is told: the model, how to get it, how to write, and who else takes from its memory."""

    name: str
    revision: str
    model: Any  # a Loading, or a reference to a _ShippedModel
    decoding: Decoding
    batch_size: int
    threads: int
    sharers: int
    vllm: VLLM | None = None


@dataclass(frozen=True)
class _ShippedModel:
    """A model without a name that others could load: its parts, sent through Ray's object store."""

    kind: type
    config: Any
    generation_config: Any
    weights: dict[str, torch.Tensor]
    buffers: dict[str, torch.Tensor]  # the rotary frequencies too, which stay in float32 in a model of 16 bits
    tokenizer: Any
    dtype: torch.dtype
    template: Mapping[str, Any]
    memory: str  # a hash of what it is in memory

    @classmethod
    def of(cls, model: Model) -> "_ShippedModel":
        hf = model.hf
        weights, buffers = (
            {name: x.cpu() for name, x in some} for some in (hf.state_dict().items(), hf.named_buffers())
        )
        parts = (hf.config, hf.generation_config, weights, buffers, model.tokenizer, model.dtype, model.template)
        return cls(type(hf), *parts, memory_hash(model))

    def unpack(self, name: str, revision: str, device: str | None = None) -> Model:
        """The model again, under the name and revision that it had.

        Raises:
            WorkbenchError: it is another one, since it held something that its weights, buffers and config do not say.
        """
        config = copy.deepcopy(self.config)
        if config._attn_implementation == EXACT:  # not known here yet: ``from_modules`` chooses it anew
            config._attn_implementation = "eager"
        hf = self.kind(config).to(self.dtype)
        hf.load_state_dict(self.weights)
        for place, buffer in hf.named_buffers():
            buffer.data = self.buffers[place].clone()
        hf.generation_config = self.generation_config
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = from_modules(hf.to(device), self.tokenizer, name, revision, self.template)
        if (arrived := memory_hash(model)) != self.memory:
            raise WorkbenchError(
                f"a worker was sent {name}, which is {self.memory} in memory, and made {arrived} of it: its modules hold what "
                "weights, buffers and config do not say, e.g. an attribute that was edited. Write that into the config, save "
                "the model with save_pretrained, and wb.load(folder) it, or sweep with on='local'"
            )
        return model


class _Worker:
    """An actor: holds the model and writes batches of rows."""

    def __init__(self, orders: _Orders, rows: Any):
        import ray

        torch.set_num_threads(orders.threads)
        self.orders, self.rows = orders, pickle.loads(ray.get(rows))
        source = orders.model if isinstance(orders.model, Loading) else ray.get(orders.model)
        place = None if orders.vllm is None else "cpu"  # the GPU is vLLM's
        if isinstance(source, Loading):
            self.model = _load_again(source, place)
            if (self.model.name, self.model.revision) != (orders.name, orders.revision):
                raise WorkbenchError(
                    f"the worker on {ray.util.get_node_ip_address()} loaded {self.model.name} {self.model.revision}, but the "
                    f"sweep is of {orders.name} {orders.revision}; give every machine the same files"
                )
        else:
            self.model = source.unpack(orders.name, orders.revision, place)
        self.room = Room(self.model, orders.batch_size, orders.sharers)

    def __call__(self, batch: "pd.DataFrame") -> "pd.DataFrame":
        chosen = [self.rows[i] for i in batch["row"]]
        return complete_rows(self.model, chosen, self.orders.decoding, self.room, self.orders.vllm)


def _load_again(source: Loading, device: str | None = None) -> Model:
    """The model that another process loaded, on a device, or on the best one there is here."""
    return load(
        source.name,
        source.dtype,
        device,
        device_map=None if device else source.device_map,
        revision=source.revision,
        chat_template=source.chat_template,
        adapter_scale=source.adapter_scale,
        template=source.template,
    )


def _explain(error: Exception, restarts: int) -> WorkbenchError:
    """What a failure in a worker means to the caller."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, WorkbenchError):
            return WorkbenchError(str(cause))
        cause = getattr(cause, "cause", None) or cause.__cause__
    return WorkbenchError(
        f"the workers failed, after up to {restarts} restarts each: {str(error).strip().splitlines()[-1]} "
        "What is finished is in the store: run the same sweep again to go on. If workers run out of memory, lower "
        "batch_size= or give them more with wb.Ray(gpus=…)"
    )


@contextmanager
def join_cluster() -> Iterator[Any]:
    """Ray, joined to the cluster of ``ray.init`` or ``RAY_ADDRESS``; where there is none, one is started here and stopped.

    Raises WorkbenchError when Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise WorkbenchError("on='ray' needs Ray: pip install '.[ray]' in the checkout") from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(include_dashboard=False, log_to_driver=False)
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()
