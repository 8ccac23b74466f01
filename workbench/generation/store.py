"""Where completions are kept: append-only parquet, one content key per row, nothing computed twice or lost.

A part is there whole or not at all, and readers ignore everything else. Two processes may append to one store: parts have
unique names, and equal keys hold equal rows. Other tools read it too, e.g. DuckDB:
``SELECT DISTINCT ON (key) * FROM 'runs/store/part-*.parquet'``.
"""

import uuid
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError
from workbench._files import whole

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = ("key", "text", "tokens", "finish", "model", "revision", "prompt", "steer", "decoding")
SCORE_COLUMNS = ("key", "completion", "score", "version", "value")


def open(folder: str | Path) -> "Store":
    """The store in a folder, which need not exist yet."""
    return Store(folder)


class Store:
    """A folder of parquet parts. ``frame`` reads all rows, ``append`` adds some; ``scores`` is the same for scores.

    >>> import tempfile; Store(tempfile.mkdtemp()).keys()
    set()
    """

    def __init__(self, folder: str | Path, kind: str = "part", columns: Sequence[str] = COLUMNS):
        self.folder, self.kind, self.columns = Path(folder), kind, tuple(columns)

    @property
    def scores(self) -> "Store":
        """The scores of the completions: one key per completion, score and version; values as JSON."""
        return Store(self.folder, "score", SCORE_COLUMNS)

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self.kind}-*.parquet"))

    def frame(self, keys: Collection[str] | None = None) -> "pd.DataFrame":
        """All rows, or those with the given keys; each key once."""
        import pandas as pd

        wanted = None if keys is None else [("key", "in", list(keys))]
        parts = [pd.read_parquet(part, filters=wanted) for part in self._parts()] if keys is None or keys else []
        parts = [part for part in parts if len(part)]
        if not parts:
            return pd.DataFrame(columns=list(self.columns))
        return pd.concat(parts, ignore_index=True).drop_duplicates("key", ignore_index=True)

    def keys(self) -> set[str]:
        """The keys of all rows."""
        import pandas as pd

        return {key for part in self._parts() for key in pd.read_parquet(part, columns=["key"])["key"]}

    def append(self, rows: "pd.DataFrame") -> None:
        """Add rows, atomically: after a crash they are all there or none of them is.

        Raises:
            WorkbenchError: they cannot be written, e.g. on a full disk. What was stored before stays readable.
        """
        if rows.empty:
            return
        try:
            with whole(self.folder / f"{self.kind}-{uuid.uuid4().hex}.parquet") as draft:
                rows.to_parquet(draft, index=False)
        except OSError as error:
            raise WorkbenchError(
                f"{len(rows)} rows could not be written to the store {self.folder}: {error}. What it held before is "
                "whole; make room, or choose another store=, and run again: only what is missing is computed"
            ) from error
