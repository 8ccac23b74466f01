"""What each engine can do: the table of docs/engines.md, and what vLLM is refused before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench._errors import WorkbenchError
from workbench.models.families import FAMILIES
from workbench.models.model import Model
from workbench.steering.sites import HOOK_NAMES, Site
from workbench.steering.steer import OPERATIONS, Steer

#: the kinds of sites that vLLM's worker can read and write
SITES = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "attn_raw", "mlp_raw")

#: the kinds of rotary embeddings that were compared
ROPES = ("default", "linear", "llama3", "yarn")

DTYPES = ("float32", "bfloat16", "float16")

#: why the rest is left to the workbench's own engine
_HEADS = "vLLM computes queries, keys and values as one product, shared out over its cards"
_DOUBLE = "vLLM has no attention in float64"
_ROPE = "its embedding depends on how long the batch is, which vLLM decides otherwise"
_PIECES = "a prompt that is read in pieces has been edited before its gate is known"


@dataclass(frozen=True)
class Ability:
    """A line of the table: what is asked for, and for each engine "yes", what it does instead, or why not."""

    what: str
    workbench: str
    vllm: str

    @property
    def refused(self) -> bool:
        """Whether vLLM is refused it."""
        return self.vllm.startswith("no: ")


ABILITIES = (
    *(Ability(f"edits and gates at {kind}", "yes", "yes" if kind in SITES else f"no: {_HEADS}") for kind in HOOK_NAMES),
    *(Ability(f"operation {name}", "yes", "yes") for name in OPERATIONS),
    Ability("any Positions, of prompt and response", "yes", "yes"),
    Ability("a gate per token", "yes", "yes"),
    Ability("a gate per prompt", "yes", "yes"),
    Ability("a gate per prompt, behind edits, with chunk=", "yes: prompts are never read in pieces", f"no: {_PIECES}"),
    Ability("another Steer in every row of a batch", "yes", "yes"),
    Ability("greedy decoding", "yes", "yes"),
    Ability("sampling, a seed per row", "yes", "yes: the same random numbers, drawn the same way"),
    Ability('stop="verdict"', "yes", "yes"),
    Ability('screen="margin", and scores that read again', "yes", "yes: the loaded model does this"),
    *(Ability(f"weights in {dtype}", "yes", "yes") for dtype in DTYPES),
    Ability("weights in float64", "yes", f"no: {_DOUBLE}"),
    Ability("rotary embeddings: default, linear, llama3, yarn", "yes", "yes"),
    Ability("rotary embeddings: dynamic, longrope", "yes", f"no: {_ROPE}"),
    Ability('on="ray"', "yes", "yes"),
    Ability("several GPUs for one model", 'device_map="auto": one after the other', "VLLM(gpus=8): all at once"),
    Ability("wb.generate, wb.trace, wb.amplify", "yes", "no: vLLM writes sweeps"),
)


def refuse(model: Model, steers: Sequence[Steer], lengths: Sequence[int], chunk: int = 0) -> None:
    """Raise WorkbenchError, before any compute, for what vLLM would not do as the workbench does.

    Args:
        steers, lengths: of each row, and the tokens of its prompt.
        chunk: tokens that a pass reads at most; 0 where prompts are read whole.

    >>> refuse(model, [wb.Steer()], [9])
    """
    instead = 'leave it to engine="workbench"'
    dtype = str(model.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise WorkbenchError(
            f'engine="vllm": {model.name} is in {dtype}, and {_DOUBLE}; load it in float32, or {instead}'
        )
    kind = rope_kind(model)
    if kind not in ROPES:
        raise WorkbenchError(f'engine="vllm": {model.name} has rotary embeddings of kind {kind!r}: {_ROPE}; {instead}')
    family = model.hf.config.get_text_config().model_type
    if family not in FAMILIES:
        raise WorkbenchError(f'engine="vllm": models of type {family!r} were not compared with vLLM\'s; {instead}')
    for steer, length in dict.fromkeys(zip(steers, lengths, strict=True)):
        for site in _sites(steer):
            if site.kind not in SITES:
                raise WorkbenchError(f'engine="vllm" cannot edit {site!r}: {_HEADS}; {instead}')
        if chunk and _gated_behind(steer, length):
            raise WorkbenchError(
                f'engine="vllm" with chunk={chunk}: {_PIECES} ({steer}); leave chunk= out, or {instead}'
            )


def _sites(steer: Steer) -> list[Site]:
    conditions = [edit.condition.direction.site for edit in steer.effective if edit.condition is not None]
    return [*(edit.site for edit in steer.effective), *conditions]


def _gated_behind(steer: Steer, length: int) -> bool:
    """Whether a token of the prompt is edited before the last one that its gate reads."""
    for edit in steer.effective:
        if edit.condition is None or edit.condition.read is None:
            continue
        read = edit.condition.read.mask(length, length).nonzero()[0]
        edited = edit.on.mask(length, length).nonzero()[0]
        if len(read) and len(edited) and edited[0] < read[-1]:
            return True
    return False


def rope_kind(model: Model) -> str:
    """How the rotary embedding of a model is stretched: "default" where it is not."""
    config = model.hf.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kinds = [rope, *(part for part in rope.values() if isinstance(part, dict))]
    found = [str(part.get("rope_type", part.get("type"))) for part in kinds if "rope_type" in part or "type" in part]
    return next((kind for kind in found if kind != "default"), "default")


def table() -> str:
    """The table of docs/engines.md, in Markdown."""
    lines = ["| | workbench | vLLM |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {one.what} | {one.workbench} | {one.vllm} |" for one in ABILITIES)])
