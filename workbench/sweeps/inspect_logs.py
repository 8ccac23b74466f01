"""How do I read a sweep in Inspect? As its JSON logs, one for each arm, which ``inspect view`` opens.

The format is that of ``inspect_ai.log`` (https://inspect.aisi.org.uk/eval-logs.html, version 2). The logs are written without
the package, which asks for other versions of what this project pins.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench._errors import WorkbenchError
from workbench._files import content_key, whole
from workbench.models.prompts import Pairs, Prompt, Prompts
from workbench.sweeps.rows import named_sets

if TYPE_CHECKING:
    import pandas as pd

#: Stands for a harmful request and for what was written to it, and for a text that the rows do not hold.
WITHHELD, NO_TEXT = "[withheld: harmful request]", "[no text: sweep with show_text=True]"

_NEEDED = (
    "set",
    "prompt",
    "arm",
    "score",
    "version",
    "value",
    "finish",
    "tokens",
    "model",
    "revision",
    "decoding",
    "key",
)
_OF_SAMPLE = ("set", "base", "category", "finish", "tokens", "key")
_OF_ARM = ("arm", "kind", "layer", "ratio", "seed", "dose", "doses", "revision", "decoding")
#: what ended a response, in Inspect's words
_STOPS = {"stop": "stop", "length": "max_tokens"}


def write_inspect_logs(
    rows: "pd.DataFrame",
    folder: str | Path,
    prompts: Pairs | Prompts | Sequence[str] | Mapping[str, Prompts] | None = None,
) -> list[Path]:
    """Write the rows of a sweep as logs of Inspect, one for each arm.

    A sample is a prompt with its response and its scores. Its id is ``SET/PROMPT``. A log never contains a harmful
    request or the responses to it, even if the rows have their text.

    Args:
        rows: the rows of a ``sweep``. They include the responses if it ran with ``show_text=True``.
        folder: where the logs go; ``inspect view --log-dir FOLDER`` opens them.
        prompts: the prompts of the sweep. Without them, a log has ids and scores but no text.

    Returns:
        The paths of the logs, in the order of the arms.

    Raises:
        WorkbenchError: the rows are not those of a sweep, or ``prompts`` lacks one of their prompts. Nothing is
            written then.

    >>> arms = wb.grid(wb.extract(model, tiny_pairs, at=wb.resid_post(1)), ratios=[0, 0.3])
    >>> rows = wb.sweep(model, tiny_pairs, arms, [wb.refusal], max_new_tokens=4)
    >>> logs = write_inspect_logs(rows, folder, tiny_pairs)
    >>> len(logs), logs[0].suffix
    (2, '.json')
    """
    if missing := [name for name in _NEEDED if name not in getattr(rows, "columns", ())]:
        raise WorkbenchError(f"expected the rows of wb.sweep; these have no column {', '.join(missing)}")
    if rows.empty:
        raise WorkbenchError("expected the rows of wb.sweep; there are none")
    if not str(folder).strip():
        raise WorkbenchError("folder='': expected the path of a folder, or '.' for the working folder")
    asked = {} if prompts is None else {(s, p.id): p for s, part in named_sets(prompts).items() for p in part}
    if prompts is not None:
        for pair in dict.fromkeys(zip(rows["set"], rows["prompt"], strict=True)):
            if pair not in asked:
                raise WorkbenchError(
                    f"prompts= has no prompt {pair[1]!r} in {pair[0]!r}; give the prompts of the sweep"
                )
    now = datetime.now(UTC).replace(microsecond=0)
    logs = [_log(part, asked, now) for _, part in rows.groupby(["model", "arm"], sort=False)]
    Path(folder).mkdir(parents=True, exist_ok=True)
    return [_write(Path(folder), log, now) for log in logs]


def _write(folder: Path, log: Mapping[str, Any], now: datetime) -> Path:
    """Inspect lists files whose names begin with a time, and takes task and id from the rest."""
    task = "".join(c if c.isalnum() else "-" for c in log["eval"]["task"])
    path = folder / f"{now:%Y-%m-%dT%H-%M-%S}+00-00_{task}_{log['eval']['task_id']}.json"
    with whole(path) as draft:
        draft.write_text(json.dumps(log, indent=1, allow_nan=False), encoding="utf-8")
    return path


def _log(part: "pd.DataFrame", asked: Mapping[tuple[str, str], Prompt], now: datetime) -> dict[str, Any]:
    first, time = part.iloc[0], now.isoformat()
    samples = [
        _sample(one, asked.get((name, prompt))) for (name, prompt), one in part.groupby(["set", "prompt"], sort=False)
    ]
    identity = content_key([str(first["model"]), str(first["arm"]), *sorted(map(str, part["key"])), time])[:22]
    scores = [_metrics(name, one) for name, one in part.groupby("score", sort=False)]
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": identity,
            "run_id": identity,
            "created": time,
            "task": str(first["arm"]),
            "task_id": identity,
            "dataset": {
                "name": ", ".join(dict.fromkeys(map(str, part["set"]))),
                "samples": len(samples),
                "sample_ids": [sample["id"] for sample in samples],
                "shuffled": False,
            },
            "model": f"workbench/{first['model']}",
            "config": {"epochs": 1},
            "metadata": {name: _plain(first[name]) for name in _OF_ARM if name in part},
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {"total_samples": len(samples), "completed_samples": len(samples), "scores": scores},
        "stats": {"started_at": time, "completed_at": time, "model_usage": {}},
        "samples": samples,
    }


def _sample(rows: "pd.DataFrame", prompt: Prompt | None) -> dict[str, Any]:
    """One prompt under one arm: what was asked, what was written, and each score."""
    first = rows.iloc[0]
    identity = f"{first['set']}/{first['prompt']}"
    harmful = prompt is not None and prompt.harmful
    known = prompt is not None and "text" in rows and isinstance(first["text"], str)
    asked = identity if prompt is None else WITHHELD if harmful else prompt.text
    said = WITHHELD if harmful else str(first["text"]) if known else NO_TEXT
    values = {str(row["score"]): row for _, row in rows.iterrows()}
    scored = {name: row for name, row in values.items() if _plain(row["value"]) is not None}
    model = f"workbench/{first['model']}"
    message = {"role": "assistant", "content": said, "source": "generate", "model": model}
    return {
        "id": identity,
        "epoch": 1,
        "input": asked,
        "target": "",
        "messages": [{"role": "user", "content": asked, "source": "input"}, message],
        "output": {
            "model": model,
            "choices": [{"message": message, "stop_reason": _STOPS.get(str(first["finish"]), "unknown")}],
        },
        "scores": {
            name: {"value": _plain(row["value"]), "metadata": {"version": _plain(row["version"])}}
            for name, row in scored.items()
        },
        "metadata": {
            **{name: _plain(first[name]) for name in _OF_SAMPLE if name in rows},
            **{f"no {name}": str(row.get("reason", "")) for name, row in values.items() if name not in scored},
        },
    }


def _metrics(name: Any, rows: "pd.DataFrame") -> dict[str, Any]:
    """The mean of a number, or the share of each label, over the rows that have a value."""
    values = [value for value in map(_plain, rows["value"]) if value is not None]
    labels = [value for value in values if isinstance(value, str)]
    shares = (
        {label: labels.count(label) / len(values) for label in dict.fromkeys(labels)}
        if labels
        else {"mean": sum(values) / len(values)}
        if values
        else {}
    )
    return {
        "name": str(name),
        "scorer": str(name),
        "scored_samples": len(values),
        "unscored_samples": len(rows) - len(values),
        "params": {"version": _plain(rows["version"].iloc[0])},
        "metrics": {label: {"name": label, "value": share} for label, share in shares.items()},
    }


def _plain(value: Any) -> Any:
    """A value as JSON has it; None for a missing one and for what is no finite number."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool) else None
