"""The parameters that every notebook has: which weights, layers, doses, tokens and prompts, in place of those of its profile."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError
from workbench._files import whole
from workbench.generation.vllm_engine import choose_engine, import_vllm
from workbench.models.load import load
from workbench.models.model import Model
from workbench.models.prompt_files import pairs, prompts
from workbench.models.prompts import Pairs, Prompts
from workbench.models.registry import located

#: The parts that a notebook asks a contrast set for.
_SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class NotebookOptions:
    """The options from the parameters cell of a notebook. An empty or 0 option leaves the choice to the profile.

    Attributes:
        base_model: the base that ``model`` was tuned from, for the notebooks that compare the two.
        dtype: of the weights, e.g. ``"bfloat16"``; empty: bfloat16 on a GPU, float32 on a CPU.
        engine: the engine that generates, ``"workbench"`` or ``"vllm"`` (docs/engines.md).
        layers: indices of layers. doses: in units of the mean activation norm, above 0.
        max_new_tokens: per response.
        prompts: a .csv file with the columns positive, negative and split (train, dev, test), instead of the set
            "refusal".
        unused: the options that this notebook does not use; setting one of them is an error.

    Raises:
        WorkbenchError: an engine that is unknown or not installed, an option that the notebook does not use, or a
            number out of range.

    >>> own = NotebookOptions(doses=(0.1, 0.2))
    >>> own.doses_or((0.3, 0.6)), own.tokens_or(24), own.layers_or((3, 9), 12)
    ((0.1, 0.2), 24, [3, 9])
    >>> NotebookOptions(engine="hf")
    Traceback (most recent call last):
        ...
    workbench._errors.WorkbenchError: unknown engine 'hf'; there are workbench, vllm, and wb.VLLM(gpus=…)
    """

    base_model: str = ""
    dtype: str = ""
    engine: str = "workbench"
    layers: Sequence[int] = ()
    doses: Sequence[float] = ()
    max_new_tokens: int = 0
    prompts: str = ""
    unused: Sequence[str] = ()

    def __post_init__(self) -> None:
        if choose_engine(self.engine) is not None:
            import_vllm()
        for name in self.unused:
            if given := getattr(self, name):
                raise WorkbenchError(f"{name}={given!r}: this notebook has no use for it; leave it empty")
        if strange := [x for x in self.layers if isinstance(x, bool) or not isinstance(x, int) or x < 0]:
            raise WorkbenchError(
                f"layers: {strange[0]!r} is no index of a layer; expected 0 or more, e.g. layers=[9, 12]"
            )
        if bad := [x for x in self.doses if not 0 < x <= 4]:
            raise WorkbenchError(f"doses: {bad[0]!r} is no dose; expected above 0 and at most 4, e.g. doses=[0.1, 0.2]")
        if self.max_new_tokens < 0:
            raise WorkbenchError(f"max_new_tokens={self.max_new_tokens}: expected at least 1, or 0 for the profile's")

    def load(self, name: str, **more) -> Model:
        """``wb.load`` with the chosen dtype; sweeps of the model use the chosen engine."""
        return replace(load(name, dtype=self.dtype or default_dtype(), **more), engine=self.engine)

    def layers_or(self, usual: Sequence[int], n_layers: int) -> list[int]:
        """The layers chosen, or the usual ones. Raises WorkbenchError for a layer that the model does not have."""
        if over := [x for x in self.layers if x >= n_layers]:
            raise WorkbenchError(f"layers: {over[0]} of a model with layers 0 to {n_layers - 1}")
        return sorted(set(self.layers or usual))

    def doses_or(self, usual: Sequence[float]) -> tuple[float, ...]:
        """The doses chosen, or the usual ones."""
        return tuple(self.doses or usual)

    def tokens_or(self, usual: int) -> int:
        """New tokens per response."""
        return self.max_new_tokens or usual

    def pairs(self, profile: str = "quick") -> Pairs:
        """The contrast set: the file named, with the bundled borderline prompts, or ``wb.pairs("refusal")``.

        The full profile confirms results: its test prompts are first those of the split ``confirm``, which no other
            profile uses, and then those of ``test``. The smoke profile only shows that a notebook runs: it takes the
            first 32 train prompts of each side.

        Raises:
            WorkbenchError: the file lacks a split.

        >>> own = NotebookOptions()
        >>> len(own.pairs().test.positive), len(own.pairs("full").test.positive)
        (120, 252)
        >>> len(own.pairs("smoke").train.positive)
        32
        """
        every = self._pairs(profile)
        if profile != "smoke":
            return every
        return Pairs(_few_train(every.positive), _few_train(every.negative), every.borderline, every.name)

    def of_models(self, file: str | Path, own: Mapping[str, Any], model: str) -> list[dict[str, Any]]:
        """What each model says that has run a notebook in this profile, this one last: for claims that compare models.

        What this model says is written with its revision. What another one says is left out if its revision is not that of
        the model as it is here now: its weights, or its adapter, were replaced since.

        Args:
            file: where this model's is kept, ``RUNS/MODEL/PROFILE/NOTEBOOK/NAME.json``.
            own: what this model says, as plain data.
            model: its name as the notebook was given it.

        >>> file = folder / "runs/someone--mine/quick/07_norms/norms.json"
        >>> [one["norm"] for one in NotebookOptions().of_models(file, {"norm": 3.1}, "someone/mine@" + "0" * 40)]
        [3.1]
        """
        place = Path(file).resolve()
        said = {**own, "source": located(model), "revision": _revision(located(model))}
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole(place) as draft:  # another model's run may read it now
            draft.write_text(json.dumps(said, indent=1), encoding="utf-8")
        like = "/".join(("*", *place.parts[-3:]))
        others = [json.loads(one.read_text("utf-8")) for one in sorted(place.parents[3].glob(like)) if one != place]
        sure = [one for one in others if "source" in one and one["revision"] == _revision(one["source"])]
        return [*sure, said]

    def _pairs(self, profile: str) -> Pairs:
        if not self.prompts:
            bundled = pairs("refusal")
            if profile != "full":
                return bundled
            return Pairs(_fresh_first(bundled.positive), _fresh_first(bundled.negative), bundled.borderline, "refusal")
        own = pairs(self.prompts)
        if missing := [x for x in _SPLITS if x not in own.positive.splits]:
            raise WorkbenchError(
                f"{self.prompts}: no pairs with the split {missing[0]}; add a column split with train, dev and test"
            )
        return Pairs(own.positive, own.negative, prompts("refusal/borderline"), own.name)


def _revision(name: str) -> str:
    """The revision of a model as it is here now; "" where it is not here any more."""
    from workbench.notebooks.batch.journal import model_revision

    try:
        return model_revision(name)
    except WorkbenchError:
        return ""


def _few_train(side: Prompts, n: int = 32) -> Prompts:
    """The prompts without those of train behind the first n."""
    dropped = {prompt.id for prompt in side.split("train")[n:]}
    return Prompts(side.name, tuple(prompt for prompt in side if prompt.id not in dropped))


def _fresh_first(side: Prompts) -> Prompts:
    """The prompts with the split confirm taken as test, before those of test."""
    fresh = tuple(replace(prompt, split="test") for prompt in side.split("confirm"))
    return Prompts(side.name, (*fresh, *(prompt for prompt in side if prompt.split != "confirm")))


def default_dtype() -> str:
    """bfloat16 on a GPU, where it is the field's usual one; float32 on a CPU, where it is exact and seldom slower."""
    import torch

    return "bfloat16" if torch.cuda.is_available() else "float32"
