"""How long does a notebook take that has never run here? As long as it took where it was measured, or it says what is missing."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from workbench._files import data_folder
from workbench.models.registry import SOURCES, Hub
from workbench.notebooks.batch.plan import Execution


@dataclass(frozen=True)
class Elsewhere:
    """Durations that come with the project.

    Attributes:
        where: the machine, the dtype, and how many notebooks ran at a time, in words.
        seconds: by name of the execution, without its parameters.
    """

    where: str
    seconds: Mapping[str, float]

    @classmethod
    def read(cls) -> Self:
        """Those of ``data/plans/measured.json``."""
        return cls(**json.loads((data_folder() / "plans" / "measured.json").read_text(encoding="utf-8")))

    def of(self, executions: Iterable[Execution]) -> dict[str, float]:
        """Seconds of those that were measured, by name; a parameter, e.g. the dtype, is not looked at.

        >>> from pathlib import Path
        >>> from workbench.notebooks.batch.plan import Execution
        >>> Elsewhere("a laptop", {"m/quick/01_a": 60.0}).of([Execution(Path("01_a.ipynb"), "m", "quick")])
        {'m/quick/01_a': 60.0}
        """
        plain = {one.name: one.name.split("--")[0] for one in executions}
        return {name: self.seconds[short] for name, short in plain.items() if short in self.seconds}


def missing(execution: Execution) -> str:
    """What there is no duration for, in words."""
    if isinstance(SOURCES.get(execution.model), Hub):
        return "unknown: its weights come from a hub, and no such run was ever measured"
    return "unknown: this model and profile were never measured; a run in smoke takes seconds"
