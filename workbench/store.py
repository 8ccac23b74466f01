"""Completions on disk: append-only parquet, one content key per row, nothing computed twice or lost.

A part is written beside its place, synced, and renamed into it, so a part is there whole or not at all; readers ignore
everything else. Two processes may append to one store: parts have unique names, and equal keys hold equal rows.
"""

import os
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("key", "text", "tokens", "finish", "model", "revision", "prompt", "steer")


def open(folder: str | Path) -> "Store":
    """The store in a folder, which need not exist yet."""
    return Store(folder)


class Store:
    """A folder of parquet parts. ``frame`` reads all rows, ``append`` adds some.

    >>> import tempfile; Store(tempfile.mkdtemp()).keys()
    set()
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def frame(self, keys: Collection[str] | None = None) -> "pd.DataFrame":
        """All rows, or those with the given keys; each key once."""
        import pandas as pd

        wanted = None if keys is None else [("key", "in", list(keys))]
        parts = [pd.read_parquet(part, filters=wanted) for part in self._parts()] if keys is None or keys else []
        parts = [part for part in parts if len(part)]
        if not parts:
            return pd.DataFrame(columns=list(COLUMNS))
        return pd.concat(parts, ignore_index=True).drop_duplicates("key", ignore_index=True)

    def keys(self) -> set[str]:
        """The keys of all rows."""
        import pandas as pd

        return {key for part in self._parts() for key in pd.read_parquet(part, columns=["key"])["key"]}

    def append(self, rows: "pd.DataFrame") -> None:
        """Add rows, atomically: after a crash they are all there or none of them is."""
        if rows.empty:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"part-{uuid.uuid4().hex}.parquet"
        draft = self.folder / f".{name}.{os.getpid()}"
        try:
            rows.to_parquet(draft, index=False)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.rename(self.folder / name)
        finally:
            draft.unlink(missing_ok=True)
