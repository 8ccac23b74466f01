"""Where completions are kept: append-only parquet, one content key per row, nothing computed twice or lost.

A part is written whole or not at all. A part that cannot be read, because it is torn or another program wrote it, is named in a warning,
counted and skipped: its rows are computed again where they are missing. Two processes may append to one store: parts have
unique names, and equal keys hold equal rows. Other tools read it too, e.g. DuckDB:
``SELECT DISTINCT ON (key) * FROM 'runs/store/part-*.parquet'``.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench._errors import WorkbenchError, check_flag
from workbench._errors.redaction import logger
from workbench._files import whole

if TYPE_CHECKING:
    import pandas as pd


log = logger(__name__)

COLUMNS = ("key", "text", "tokens", "finish", "model", "revision", "prompt", "steer", "decoding")
#: Files that a warning has named, and folders that hold them.
_TOLD: set[Path] = set()

#: columns that are read as text, where a kind of part has them
_TEXTS = ("key", "text", "value")

SCORE_COLUMNS = ("key", "completion", "score", "version", "value")


def open(folder: str | Path) -> "Store":
    """The store in a folder, which need not exist yet. Raises WorkbenchError for a file, or what is no path."""
    check_place(folder)
    return Store(folder)


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    return any(test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view, types.is_null))


def check_place(store: object) -> None:
    """Raise WorkbenchError for a store= that can be no folder: a file, or no path at all."""
    if not isinstance(store, str | Path) or not str(store).strip() or "\0" in str(store):
        raise WorkbenchError(f"store={store!r:.60}: expected the path of a folder, which need not exist yet")
    if Path(store).exists() and not Path(store).is_dir():
        raise WorkbenchError(f"store={str(store)!r} is no folder; name one, which need not exist yet")


class Store:
    """A folder of parquet parts. ``frame`` reads all rows, ``append`` adds some; ``scores`` is the same for scores.

    >>> import tempfile; Store(tempfile.mkdtemp()).keys()
    set()
    """

    def __init__(self, folder: str | Path, kind: str = "part", columns: Sequence[str] = COLUMNS):
        self.folder, self.kind, self.columns = Path(folder), kind, tuple(columns)

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r}, {len(self._parts())} parts)"

    @property
    def scores(self) -> "Store":
        """The scores of the completions: one key per completion, score and version; values as JSON."""
        return Store(self.folder, "score", SCORE_COLUMNS)

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self.kind}-*.parquet"))

    def frame(self, keys: Collection[str] | None = None, *, show_text: bool = False) -> "pd.DataFrame":
        """All rows, or those with the given keys; each key once.

        Args:
            show_text: include the column ``text``, also with steered responses to harmful requests.
        """
        import pandas as pd

        wanted = None if keys is None else [("key", "in", list(keys))]
        parts = self._read(filters=wanted) if keys is None or keys else []
        parts = [part for part in parts if len(part)]
        if parts:
            rows = pd.concat(parts, ignore_index=True).drop_duplicates("key", ignore_index=True)
        else:
            rows = pd.DataFrame(columns=list(self.columns))
        if self.kind == "part" and "finish" not in rows:  # of a store from before that was kept
            rows["finish"] = ""
        return rows if check_flag(show_text, "show_text") else rows.drop(columns="text", errors="ignore")

    def keys(self) -> set[str]:
        """The keys of all rows."""
        return {key for part in self._read(columns=["key"]) for key in part["key"]}

    def _read(self, **options: Any) -> list["pd.DataFrame"]:
        """The parts that can be read. The others are named once per process, and skipped."""
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        frames, parts = [], self._parts()
        for part in parts:
            try:
                self._check(pq.read_schema(part))
                frames.append(pd.read_parquet(part, **options))
            except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
                if part not in _TOLD:
                    _TOLD.add(part)
                    log.warning("%s is no whole part of this store and is skipped: %s", part, str(error).split("\n")[0])
        if len(frames) < len(parts) and self.folder not in _TOLD:
            _TOLD.add(self.folder)
            log.warning("%s: %d of %d files were skipped", self.folder, len(parts) - len(frames), len(parts))
        return frames

    def _check(self, schema: Any) -> None:
        """Raise ValueError unless a part has what is read of it, each column of its type."""
        for name in (name for name in _TEXTS if name in self.columns):
            if name not in schema.names:
                raise ValueError(f"it has no column {name!r}")
            if not _is_text(schema.field(name).type):
                raise ValueError(f"its column {name!r} holds {schema.field(name).type}")

    def revisions(self, model: str) -> Counter[str]:
        """How many rows a model of this name has of each of its revisions."""
        count: Counter[str] = Counter()
        for rows in self._read(columns=["model", "revision"]):
            count.update(rows["revision"][rows["model"] == model])
        return count

    def written(self, keys: Collection[str]) -> list[str]:
        """The time at which each of some rows was written, in UTC. Rows from before this was recorded are left out."""
        rows = self.frame(set(keys))
        return [str(time) for time in rows["written"].dropna()] if "written" in rows else []

    def append(self, rows: "pd.DataFrame") -> None:
        """Add rows, atomically: after a crash they are all there or none of them is. Completions get a column ``written``, in UTC.

        Raises:
            WorkbenchError: they cannot be written, e.g. on a full disk. What was stored before stays readable.
        """
        if rows.empty:
            return
        if self.kind == "part" and "written" not in rows:
            rows = rows.assign(written=f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S+00:00}")  # noqa: UP017
        try:
            with whole(self.folder / f"{self.kind}-{uuid.uuid4().hex}.parquet") as draft:
                rows.to_parquet(draft, index=False)
        except OSError as error:
            raise WorkbenchError(
                f"{len(rows)} rows could not be written to the store {self.folder}: {error}. What it held before is "
                "whole; make room, or choose another store=, and run again: only what is missing is computed"
            ) from error
