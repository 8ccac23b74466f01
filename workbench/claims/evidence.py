"""Which rows are evidence? The rows of a sweep: checked, without text, and read one arm at a time."""

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from workbench._errors import WorkbenchError, unknown
from workbench.claims.claim import LabelContrast

if TYPE_CHECKING:
    import pandas as pd

SCORE = "refusal"
BASELINE_NAME = "baseline"
LABELS = ("refusal", "compliance", "off topic", "collapse")

#: what stands for the label of a response in a language that the label cannot read: it counts as none of them
UNREAD = "unread"

#: columns that a verdict needs
COLUMNS = ("set", "prompt", "base", "arm", "kind", "layer", "ratio", "score", "value", "model", "revision")

_ALSO = ("category", "seed", "dose", "key", "finish", "tokens", "version")

CONTROLS = ("random", "orthogonal")
#: With those that lie where activations vary, from shuffled labels or drawn with their covariance: a model may hardly notice, or
#: break down along, directions that no activation has.
EVERY_CONTROL = (*CONTROLS, "shuffled", "covariant")


def prepare_rows(rows: "pd.DataFrame", scores: tuple[str, ...]) -> "pd.DataFrame":
    """Keep the rows of some scores as they are judged and stored: known columns, values as text, no text of a model.

    Raises:
        WorkbenchError: columns or scores are missing; rows flagged ``mock``; several models; values that are missing; a
            label that is none.
    """
    import pandas as pd

    _check_frame(rows)
    lacking = [column for column in COLUMNS if column not in rows]
    if lacking:
        raise WorkbenchError(f"rows lack {', '.join(lacking)}; expected the rows of wb.sweep")
    if "mock" in rows and (made_up := rows["mock"].fillna(True).astype(bool)).any():
        raise WorkbenchError(f"{int(made_up.sum())} rows are flagged mock: made-up rows are no evidence")
    own = rows[rows["score"].isin(scores)]
    for score in scores:
        if score not in set(own["score"]):
            there = ", ".join(map(str, rows["score"].unique()))
            raise WorkbenchError(f"no rows of the score {score!r}; the scores are {there}")
    named = zip(*(own[column].to_numpy(object) for column in ("model", "revision")), strict=True)
    models = sorted({f"{m} {r}".strip() for m, r in named})
    if len(models) != 1:
        raise WorkbenchError(f"rows of {len(models)} models: {', '.join(models)}. Record one at a time")
    unread = own["value"].isna() & own.get("reason", pd.Series("", own.index)).fillna("").str.startswith("not English")
    own = own.assign(value=own["value"].mask(unread, UNREAD))
    if lost := int(own["value"].isna().sum()):
        raise WorkbenchError(f"{lost} values are missing: score every row, or drop its prompt in all arms")
    kept = own[[*COLUMNS, *(column for column in _ALSO if column in own)]].copy()
    for column in ("layer", "ratio"):
        dtype = kept[column].dtype
        if not (isinstance(dtype, np.dtype) and dtype.kind in "biuf") and not all(
            isinstance(value, Real) for value in kept[column]
        ):
            raise WorkbenchError(
                f"the column {column} of the rows holds what is no number; expected the rows of wb.sweep"
            )
    kept["value"] = [_label(value) for value in kept["value"].to_numpy(object)]
    return kept.reset_index(drop=True)


def _check_frame(rows: object) -> None:
    if not hasattr(rows, "columns"):
        raise WorkbenchError(f"rows are {type(rows).__name__}; expected the DataFrame of wb.sweep")


def oracle(rows: "pd.DataFrame", label: str) -> "pd.DataFrame":
    """The union over configurations: a prompt counts as soon as any direction arm gives it the label.

    It chooses an arm for each prompt after seeing the outcome, which is impossible in practice. It is an upper bound,
    to be shown next to a single configuration. The ledger never calls it reproduced.

    Args:
        rows: of ``wb.sweep`` with the score "refusal".
        label: e.g. "refusal".

    Returns:
        The rows, and those of one more arm of the kind "oracle", e.g. ``oracle of 12 arms``.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"set": "positive", "score": "refusal", "kind": "direction", "prompt": ["p1", "p2"] * 2})
    >>> rows["arm"], rows["value"] = ["L8", "L8", "L9", "L9"], ["refusal", "compliance", "compliance", "compliance"]
    >>> oracle(rows, "refusal").query("kind == 'oracle'")["value"].tolist()
    ['refusal', 'compliance']
    """
    import pandas as pd

    _check_frame(rows)
    tried = rows[(rows["kind"] == "direction") & (rows["score"] == SCORE)]
    if label not in (labels := {*LABELS, *map(str, rows["value"])}):
        raise unknown("label", label, sorted(labels))
    name = f"oracle of {tried['arm'].nunique()} arms"
    best = tried.assign(hit=tried["value"] == label).sort_values("hit", ascending=False, kind="stable")
    union = best.groupby(["set", "prompt"], sort=False).head(1).drop(columns="hit")
    return pd.concat([rows, union.assign(arm=name, kind="oracle", layer=-1, ratio=float("nan"))], ignore_index=True)


def _label(value: object) -> str:
    """A label as it is; yes and no of a scorer that knows refusals only, as refusal and compliance."""
    if isinstance(value, str) and value in (*LABELS, UNREAD):
        return value
    if isinstance(value, bool | np.bool_ | int | float | np.number) and float(value) in (0.0, 1.0):
        return "refusal" if value else "compliance"
    raise WorkbenchError(f"a value is {value!r}: expected one of {', '.join(LABELS)}, or whether it is a refusal")


class ArmLabels:
    """Prepared rows under one contrast: who got the label, per arm and prompt.

    ``repeats`` is how many prompt-arm pairs occur more than once, ``disagreeing`` how many of these differ in their label.
    """

    def __init__(self, rows: "pd.DataFrame", contrast: LabelContrast, score: str = SCORE):
        own = rows[(rows["set"] == contrast.set) & (rows["score"] == score)]
        if BASELINE_NAME not in set(own["arm"]):
            sets = ", ".join(rows["set"].unique())
            raise WorkbenchError(
                f"no baseline on the set {contrast.set!r} (sets: {sets}); a grid gets one by the ratio 0"
            )
        by_cell = own.groupby(["prompt", "arm"])["value"]
        self.repeats = int((by_cell.size() > 1).sum())
        self.disagreeing = int((by_cell.nunique() > 1).sum()) if self.repeats else 0
        self.contrast = contrast
        self.against_controls = contrast.against == "controls"
        self.table = (
            by_cell.first().unstack("arm").astype(object)
        )  # compared as objects: a column of Arrow costs ten times that
        self.incomplete = frozenset(self.table.columns[self.table.isna().any()])
        self.bases = own.drop_duplicates("prompt").set_index("prompt")["base"].reindex(self.table.index)
        self.arms = own.drop_duplicates("arm").set_index("arm")[["kind", "layer", "ratio"]]

    def claimed_arms(self) -> list[str]:
        """The direction arms whose dose has the claimed sign."""
        sign = -1 if self.contrast.sign == "-" else 1
        arms = self.arms[(self.arms["kind"] == "direction") & (np.sign(self.arms["ratio"]) == sign)]
        if arms.empty:
            there = ", ".join(self.arms.index[:12])
            raise WorkbenchError(f"no direction arm with a {self.contrast.sign} dose; there are {there}")
        return list(arms.index)

    def labels(self, arm: str, label: str = "") -> "pd.Series":
        """Whether each prompt got the label (by default the contrast's) under an arm. A boolean Series by prompt.

        Raises:
            WorkbenchError: no such arm, or it holds other prompts than the baseline: rates over different prompts do
                not compare.
        """
        if arm not in self.table:
            raise unknown("arm", arm, self.table.columns, f" on the set {self.contrast.set!r}")
        values = self.table[arm]
        if self.incomplete & {arm, BASELINE_NAME}:
            counts = f"{int(values.notna().sum())} prompts, the baseline {int(self.table[BASELINE_NAME].notna().sum())}"
            raise WorkbenchError(
                f"arm {arm!r} has {counts} of {len(self.table)}: arms with different denominators do not compare. "
                "Sweep the same prompts under both"
            )
        return values == (label or self.contrast.label)

    def collapse(self, arm: str) -> float:
        """Share of responses that broke down."""
        return float(self.labels(arm, "collapse").mean())

    def broken(self, arm: str) -> np.ndarray:
        """Whether each response collapsed, left the topic, or is in a language that nobody asked for. Shape [prompt]."""
        return np.any([self.labels(arm, label).to_numpy() for label in ("collapse", "off topic", UNREAD)], axis=0)

    def away(self, arm: str) -> float:
        """Share of responses that are fluent and leave the prompt alone, or are in a language that nobody asked for."""
        return float((self.labels(arm, "off topic") | self.labels(arm, UNREAD)).mean())

    def controls(self, arm: str, kinds: tuple[str, ...] = CONTROLS) -> list[str]:
        """Control arms at the layer and dose of an arm; random and orthogonal ones if not told."""
        return self._at_layer(arm, kinds, 1)

    def opposite(self, arm: str) -> str | None:
        """The direction arm of the opposite dose at the same layer, if there is one."""
        kind, ratio = self.arms.loc[arm, ["kind", "ratio"]]
        return next(iter(self._at_layer(arm, (kind,), -1)), None) if ratio else None

    def _at_layer(self, arm: str, kinds: tuple[str, ...], sign: int) -> list[str]:
        """Arms of some kinds at the layer of an arm and at its dose times ``sign``."""
        layer, ratio = self.arms.loc[arm, ["layer", "ratio"]]
        near = np.isclose(self.arms["ratio"].astype(float), sign * ratio) & (self.arms["layer"] == layer)
        return list(self.arms[near & self.arms["kind"].isin(kinds)].index)

    def pair(self, arm: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reference and arm as numbers from 0 to 1, and the base prompt of each row. Shapes [prompt]."""
        after = self.labels(arm).to_numpy(float)
        names = self.controls(arm) if self.against_controls else [BASELINE_NAME]
        if not names:
            raise WorkbenchError(f"no controls at the layer and dose of {arm!r}; a grid makes them with controls=20")
        before = np.mean([self.labels(name).to_numpy(float) for name in names], axis=0)
        return before, after, self.bases.to_numpy()
