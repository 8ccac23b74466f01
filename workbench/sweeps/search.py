"""Which dose steers most and still lets the model speak: compared with controls, or searched on dev prompts and reported from test.

Log 002 searched doses and layers on twenty questions and reported the best score it had seen, which is too high by what luck
adds to a maximum (the winner's curse). Here the search only chooses; the effect is measured once, on prompts that had no part
in choosing, beside random and orthogonal directions at the same dose.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench._errors import WorkbenchError, unknown
from workbench.generation.steer_hooks import check, check_model
from workbench.models.model import Model
from workbench.models.prompts import Prompt, Prompts, as_prompts
from workbench.scoring.coherence import coherence
from workbench.scoring.labels import LABELS, refusal
from workbench.scoring.scores import Scorer
from workbench.statistics.means import mean
from workbench.statistics.paired_tests import paired_difference
from workbench.statistics.results import Estimate
from workbench.steering.arms import BASELINE, Arm, grid
from workbench.steering.directions import Direction
from workbench.steering.positions import ALL, Positions
from workbench.steering.steer import Steer, number
from workbench.steering.verbs import add
from workbench.sweeps.sweep import sweep

if TYPE_CHECKING:
    import pandas as pd


#: Neighbouring doses closer than this factor are not told apart.
_STEP = 1.25


@dataclass(frozen=True)
class Trial:
    """One arm beside the unsteered one, on the same prompts.

    Attributes:
        arm: its name.
        ratio: signed dose in units of the mean activation norm.
        effect: mean over prompts of the score under the arm minus unsteered; a difference of shares for a label.
        coherence: mean over prompts under the arm.
        missing: prompts without a value under the arm or unsteered; they are in no effect, and ``effect.n`` is what is left.
        layer: of the direction.
    """

    arm: str
    ratio: float
    effect: Estimate
    coherence: Estimate
    missing: int = 0
    layer: int = -1


@dataclass(frozen=True)
class SteeringSearch:
    """What ``steering_search`` found. ``effect`` and ``coherence`` are those on test prompts; dev numbers only chose the dose.

    Attributes:
        direction: method and site.
        score: what the effect is measured in, with its label.
        floor: the least mean coherence.
        tried: every layer and dose tried on dev prompts, in order.
        chosen: the dose chosen, on test prompts; None where no dose tried kept coherence above the floor, or without test prompts.
        controls: random and orthogonal directions of the same length at that dose, on the same test prompts.
    """

    direction: str
    score: str
    floor: float
    tried: tuple[Trial, ...] = field(repr=False)
    chosen: Trial | None
    controls: tuple[Trial, ...] = field(repr=False)

    @property
    def best(self) -> Trial | None:
        """The layer and dose chosen, with what dev prompts said of it; None where no dose kept coherence above the floor."""
        return _best(self.tried, self.floor)

    @property
    def ratio(self) -> float:
        """The dose chosen; NaN where there is none."""
        return self.best.ratio if self.best else float("nan")

    @property
    def layer(self) -> int:
        """The layer chosen; -1 where there is none."""
        return self.best.layer if self.best else -1

    @property
    def gains(self) -> bool:
        """Whether the arm chosen gains anything on dev prompts: one that does not carries no verdict."""
        return self.best is not None and self.best.effect.value > 0

    @property
    def effect(self) -> Estimate | None:
        """On test prompts; None where no dose was chosen."""
        return self.chosen.effect if self.chosen else None

    @property
    def coherent(self) -> bool:
        """Whether the dose chosen also keeps its coherence above the floor on test prompts."""
        return self.chosen is not None and self.chosen.coherence.value >= self.floor

    @property
    def p(self) -> float:
        """How often a control does at least as well, counting the direction itself among them; NaN without controls."""
        if self.chosen is None or not self.controls:
            return float("nan")
        as_good = sum(control.effect.value >= self.chosen.effect.value for control in self.controls)
        return (1 + as_good) / (1 + len(self.controls))

    def frame(self) -> "pd.DataFrame":
        """One row per arm: set (dev or test), arm, layer, ratio, effect, low, high, coherence, coherent, n, missing, chosen."""
        import pandas as pd

        test = (*((self.chosen,) if self.chosen else ()), *self.controls)
        return pd.DataFrame(
            {
                "set": where,
                "arm": trial.arm,
                "layer": trial.layer,
                "ratio": trial.ratio,
                "effect": trial.effect.value,
                "low": trial.effect.low,
                "high": trial.effect.high,
                "coherence": trial.coherence.value,
                "coherent": trial.coherence.value >= self.floor,
                "n": trial.effect.n,
                "missing": trial.missing,
                "chosen": self.best is not None and trial.arm == self.best.arm,
            }
            for where, trials in (("dev", self.tried), ("test", test))
            for trial in trials
        )

    def __str__(self) -> str:
        doses = ", ".join(f"{t.ratio:+.2f}: {t.effect.value:.2f} ({t.coherence.value:.2f})" for t in self.tried)
        tried = f"dev, effect (coherence) by dose: {doses}"
        if self.best is None:
            return f"{self.direction}: no dose keeps coherence above {self.floor:g}\n{tried}"
        if self.chosen is None:
            return f"{self.direction}, layer {self.layer}, dose {self.ratio:+.2f}: chosen on dev prompts\n{tried}"
        below = "" if self.coherent else f", BELOW the floor {self.floor:g} on test prompts"
        best = f"{max(c.effect.value for c in self.controls):.2f} at most" if self.controls else "none"
        return (
            f"{self.direction}, dose {self.ratio:+.2f}: {self.score} changes by {self.effect} on test prompts, "
            f"coherence {self.chosen.coherence.value:.2f}{below}; {len(self.controls)} controls: {best}\n{tried}"
        )


#: The base of each prompt, and by arm: the score without it, the score under it, and coherence under it, each by prompt.
_Paired = tuple[np.ndarray, dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]]


def _pair_arms(rows: "pd.DataFrame", score: str, label: str | None = None, fluent: str = "coherence") -> _Paired:
    """The base of each prompt, and per arm of a sweep the score without it, the score under it, and coherence, all by prompt."""
    if "finish" in rows:  # a row that failed says nothing: that is not coherent
        rows = rows.assign(value=rows["value"].mask((rows["finish"] == "failed") & (rows["score"] == fluent), 0.0))
    table = rows.pivot(index="prompt", columns=["score", "arm"], values="value")
    bases = rows.drop_duplicates("prompt").set_index("prompt")["base"].loc[table.index].to_numpy()
    if label is None and isinstance(first := table[score, BASELINE.name].iloc[0], str):
        raise WorkbenchError(f"{score} gives labels, such as {first!r}; say which one counts, e.g. label='refusal'")

    def values(name: str, arm: str, label: str | None = None) -> np.ndarray:
        if not label:
            return table[name, arm].to_numpy(dtype=float)
        counts = table[name, arm] == label
        known = table[name, arm].notna()  # a row without a label is neither one nor another
        return counts.to_numpy() if known.all() else counts.astype(float).where(known).to_numpy()

    plain, names = values(score, BASELINE.name, label), [arm for arm in rows["arm"].unique() if arm != BASELINE.name]
    return bases, {arm: (plain, values(score, arm, label), values(fluent, arm)) for arm in names}


def _effect(before: np.ndarray, after: np.ndarray, bases: np.ndarray) -> Estimate:
    if before.dtype == after.dtype == bool and len(set(bases)) == len(bases):
        return paired_difference(before.tolist(), after.tolist())
    change = after.astype(float) - before.astype(float)
    return _mean_of_known(change, bases)


def _effect_beyond(
    before: np.ndarray, after: np.ndarray, bases: np.ndarray, plain: np.ndarray, steered: np.ndarray, also: np.ndarray
) -> Estimate:
    """The mean change on some prompts minus that on others; those of one base are resampled together."""
    gain, cost = after.astype(float) - before.astype(float), steered.astype(float) - plain.astype(float)
    n = len(gain) + len(cost)
    weighted = np.concatenate([gain * n / len(gain), -cost * n / len(cost)])
    return _mean_of_known(weighted, np.concatenate([bases, also]))


def _missing(before: np.ndarray, after: np.ndarray) -> int:
    return int(np.isnan(after.astype(float) - before.astype(float)).sum())


def _mean_of_known(values: np.ndarray, bases: np.ndarray, confidence: float = 0.95) -> Estimate:
    """The mean over the prompts that have a value; NaN where fewer than two have: rows that failed have none."""
    known = ~np.isnan(values)
    if not known.all() and known.sum() < 2:
        return Estimate(np.nan, np.nan, np.nan, int(known.sum()), "no values")
    return mean(values[known], bases[known], confidence=confidence)


def steering_search(
    model: Model,
    direction: Direction | Iterable[Direction],
    dev: Prompts | Sequence[str | Prompt],
    test: Prompts | Sequence[str | Prompt] | None,
    score: Scorer,
    label: str | None = None,
    *,
    sign: int = 1,
    against: Prompts | Sequence[str | Prompt] | None = None,
    floor: float | None = 0.7,
    on: Positions | str = ALL,
    smallest: float = 0.05,
    largest: float = 1.0,
    doses: int = 8,
    controls: int = 5,
    seed: int = 0,
    fluent: Scorer = coherence,
    store: str | Path = "runs/store",
    max_new_tokens: int = 48,
    batch_size: int = 256,
) -> SteeringSearch:
    """Find the dose with the largest effect at a minimum coherence on dev prompts, and measure it on test prompts.

    This is a bracketing search on the logarithm of the dose. It starts in the middle of the range and doubles the
    dose until coherence breaks (or halves it until coherence holds). It then halves the gaps beside the best coherent
    dose. It needs few completions and does not assume that a larger dose is better. Several layers are searched in
    parallel, with one sweep per round of doses, and the best layer is chosen too. Every completion is a row of the
    store.

    Args:
        model, direction: the direction has its site, and its mean activation norm sets the scale of doses. Or
            Directions, one per layer.
        dev: a few prompts, e.g. ``pairs.dev.negative.take(16)``. All of them run at every dose.
        test: prompts for the reported effect; none of them may be in ``dev``. With None the search only chooses, and
            reports no effect.
        score: the score that steering should raise, e.g. ``wb.refusal`` or a judge.
        label: for scores that give labels, the one that counts, e.g. "refusal"; the effect is then a difference of
            shares.
        sign: 1 adds the direction, -1 subtracts it.
        against: dev prompts on which the score should not rise. On dev prompts, the rise there is subtracted from the
            effect.
        floor: minimum mean coherence, 0 to 1 (log 002 requires 70 of 100); None is nine tenths of that of the
            unsteered model.
        on: which tokens are steered.
        smallest, largest: range of doses, in units of the mean activation norm.
        doses: the most doses to try, per direction.
        controls, seed: number of random directions, and also of orthogonal directions, on the test prompts.
        fluent: the score whose mean must stay above the floor.
        store, max_new_tokens, batch_size: as for ``sweep``.

    Returns:
        A SteeringSearch: the effect on test prompts with its interval, the controls, and the effect of every dose tried.

    Raises:
        WorkbenchError: prompts in both sets, an impossible range, a score that gives labels without ``label=``, or an
            unsteered model whose own coherence is below the floor.

    >>> direction = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> dev, test = tiny_pairs.positive, tiny_pairs.negative
    >>> options = {"floor": 0.0, "doses": 2, "controls": 1, "store": folder, "max_new_tokens": 3}
    >>> search = steering_search(model, direction, dev, test, wb.refusal, "compliance", **options)
    >>> len(search.tried), len(search.controls), search.effect.n  # a random and an orthogonal direction, three prompts
    (2, 2, 3)
    """
    directions = (direction,) if isinstance(direction, Direction) else tuple(direction)
    rehearsal, final = as_prompts(dev, "dev"), None if test is None else as_prompts(test, "test")
    spared = None if against is None else as_prompts(against, "against")
    _check(rehearsal, final, sign, smallest, largest, doses)
    if floor is not None:
        number(floor, "floor")
    check_model(model)
    _check_directions(model, [add(one, ratio=smallest, on=on) for one in directions])
    if score is refusal and label not in LABELS:
        if label is None:
            raise WorkbenchError("refusal gives labels; say which one counts, e.g. label='refusal'")
        raise unknown("label", label, LABELS)
    named = (score.name, label, fluent.name)

    def write(sets: dict[str, Prompts], arms: Sequence[Arm]) -> "pd.DataFrame":
        return sweep(model, sets, [BASELINE, *arms], [score, fluent], store, max_new_tokens, batch_size)

    def compare(rows: "pd.DataFrame", arms: Sequence[Arm], of: str) -> list[Trial]:
        own, also = (rows[rows["set"] == name] for name in (of, "against"))
        return _trials(arms, _pair_arms(own, *named), None if also.empty else _pair_arms(also, *named))

    dev_sets = {"dev": rehearsal} | ({"against": spared} if spared else {})
    by_layer: list[list[Trial]] = [[] for _ in directions]
    least = floor
    while asked := [
        (own, _arms(one, sign * dose, on)[0])
        for one, own in zip(directions, by_layer, strict=True)
        if len(own) < doses and (dose := _next_dose(own, least or 0.0, smallest, largest))
    ]:  # one dose of every layer in one sweep: its prompts are read together and its batch is full
        arms = [arm for _, arm in asked]
        rows = write(dev_sets, arms)
        if not by_layer[0]:
            least = _floor(rows, fluent.name, floor, model.name)
        for (own, _), trial in zip(asked, compare(rows, arms, "dev"), strict=True):
            own.append(trial)
    tried = [trial for own in by_layer for trial in own]
    assert least is not None  # set in the first round
    best = _best(tried, least)
    chosen_one = next((one for one in directions if best and one.site.layer == best.layer), directions[0])
    name = f"{chosen_one.method} at {chosen_one.site!r}"
    measured = score.name if label is None else f"{score.name}={label}"
    if best is None or final is None:
        return SteeringSearch(name, measured, least, tuple(tried), None, ())
    arms = list(_arms(chosen_one, best.ratio, on, controls, seed))
    chosen, *beside = compare(write({"test": final}, arms), arms, "test")
    return SteeringSearch(name, measured, least, tuple(tried), chosen, tuple(beside))


def _floor(rows: "pd.DataFrame", fluent: str, floor: float | None, name: str) -> float:
    """The floor asked for, or nine tenths of the unsteered coherence on dev prompts; refused where that is below it."""
    plain = rows[(rows["set"] == "dev") & (rows["arm"] == BASELINE.name) & (rows["score"] == fluent)]
    own = float(plain["value"].mask(plain["finish"] == "failed", 0.0).astype(float).mean())
    floor = 0.9 * own if floor is None else floor
    if own < floor:
        raise WorkbenchError(
            f"unsteered, {name} has a mean coherence of {own:.2f} on the dev prompts, below floor={floor:g}: choose a "
            "lower floor"
        )
    return floor


def _trials(arms: Sequence[Arm], own: _Paired, also: _Paired | None) -> list[Trial]:
    """Every arm beside the unsteered one; what the score rises on the prompts of ``also`` is taken off the effect."""
    bases, paired = own
    trials = []
    for arm in arms:
        before, after, whole = paired[arm.name]
        if also is None:
            effect, fluency = _effect(before, after, bases), mean(whole, bases)
        else:
            plain, steered, whole_also = also[1][arm.name]
            effect = _effect_beyond(before, after, bases, plain, steered, also[0])
            fluency = mean(np.concatenate([whole, whole_also]), np.concatenate([bases, also[0]]))
        trials.append(Trial(arm.name, arm.ratio, effect, fluency, _missing(before, after), arm.layer))
    return trials


def _arms(direction: Direction, ratio: float, on: Positions | str, controls: int = 0, seed: int = 0) -> tuple[Arm, ...]:
    return grid(direction, ratios=[ratio], on=on, controls=controls, seed=seed)


def _check(dev: Prompts, test: Prompts | None, sign: int, smallest: float, largest: float, doses: int) -> None:
    if test is not None and (shared := set(dev.texts) & set(test.texts)):
        raise WorkbenchError(
            f"{len(shared)} prompts are in dev and in test: a dose chosen on a prompt says too much of itself there"
        )
    if sign not in (1, -1) or not 0 < number(smallest, "smallest") < number(largest, "largest") or doses < 1:
        raise WorkbenchError(
            f"sign={sign}, smallest={smallest:g}, largest={largest:g}, doses={doses}: expected 1 or -1, 0 < smallest < "
            "largest, and at least one dose"
        )


def _check_directions(model: Model, steers: Sequence[Steer]) -> None:
    if not steers:
        raise WorkbenchError("no directions to search; give one, or one per layer")
    for steer in steers:
        check(steer, model)
    if len(layers := [steer.edits[0].site.layer for steer in steers]) != len(set(layers)):
        raise WorkbenchError(f"directions of the layers {layers}: expected one direction per layer")


def _best(tried: Sequence[Trial], floor: float) -> Trial | None:
    """The coherent dose with the largest effect; of equals the smallest."""
    good = [trial for trial in tried if trial.coherence.value >= floor and not np.isnan(trial.effect.value)]
    return max(good, key=lambda trial: (trial.effect.value, -abs(trial.ratio)), default=None)


def _next_dose(tried: Sequence[Trial], floor: float, smallest: float, largest: float) -> float | None:
    """The dose to try next, without its sign, two digits; None where the best is known to within ``_STEP``."""
    if not tried:
        return _between(smallest, largest)
    sizes = sorted(abs(trial.ratio) for trial in tried)
    best = _best(tried, floor)
    if best is None:
        return max(sizes[0] / 2, smallest) if sizes[0] > smallest else None
    if sizes[-1] < largest and all(trial.coherence.value >= floor for trial in tried):
        return min(sizes[-1] * 2, largest)
    here = abs(best.ratio)
    below = max((size for size in sizes if size < here), default=smallest)
    above = min((size for size in sizes if size > here), default=here)
    step, low, high = max((above / here, here, above), (here / below, below, here))
    return _between(low, high) if step > _STEP else None


def _between(low: float, high: float) -> float:
    """The geometric middle, to two digits where that keeps it inside."""
    middle = float(np.sqrt(low * high))
    short = float(f"{middle:.2g}")
    return short if low < short < high else middle


def dose_effects(rows: "pd.DataFrame", score: str, floor: float = 0.7) -> "pd.DataFrame":
    """For each dose of the direction: the paired change of a score, the coherence, and the largest change of a coherent control.

    Args:
        rows: of ``wb.sweep`` on one prompt set, with a baseline, direction arms and control arms, scored by ``score`` (a number)
            and by "coherence".
        score: name of the score.
        floor: minimum mean coherence for an arm to count.

    Returns:
        One row per direction arm: arm, layer, ratio, change, low, high (corrected for the number of such arms,
        Bonferroni), control (the largest change of a control at that layer and dose; NaN where none is coherent),
        coherence, steers: True if the arm is coherent, its interval is above 0, and its change exceeds that of every
        coherent control, with at least one such control.

    Raises:
        WorkbenchError: a score that is not in the rows, or no baseline.

    >>> direction = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> arms = wb.grid(direction, ratios=[0, 0.2, 0.4], controls=1)
    >>> length = wb.Score("length", 1, len)
    >>> rows = wb.sweep(model, tiny_pairs.negative, arms, [length, wb.coherence], folder, max_new_tokens=8)
    >>> dose_effects(rows, "length")["ratio"].tolist()
    [0.2, 0.4]
    """
    import pandas as pd

    lacking = [name for name in (score, "coherence") if name not in set(rows["score"])]
    if lacking or BASELINE.name not in set(rows["arm"]):
        raise WorkbenchError(
            f"rows lack {lacking[0] if lacking else 'a baseline'}; sweep with the ratio 0 and both scores"
        )
    arms = rows.drop_duplicates("arm").set_index("arm")
    own, controls = arms[arms["kind"] == "direction"], arms[~arms["kind"].isin(["direction", "baseline"])]
    bases, paired = _pair_arms(rows, score)
    change = {arm: after - before for arm, (before, after, _) in paired.items()}
    coherent = {arm: float(whole.mean()) for arm, (*_, whole) in paired.items()}
    effects = []
    for arm, about in own.iterrows():
        beside = controls[
            (controls["layer"] == about["layer"]) & np.isclose(controls["ratio"].astype(float), about["ratio"])
        ]
        limit = max((np.nanmean(change[name]) for name in beside.index if coherent[name] >= floor), default=np.nan)
        effect = _mean_of_known(change[arm], bases, 1 - 0.05 / len(own))
        steers = coherent[arm] >= floor and effect.low > 0 and effect.value > limit
        effects.append(
            (arm, about["layer"], about["ratio"], effect.value, effect.low, effect.high, limit, coherent[arm], steers)
        )
    columns = ["arm", "layer", "ratio", "change", "low", "high", "control", "coherence", "steers"]
    return pd.DataFrame(effects, columns=columns)


def paired_changes(
    rows: "pd.DataFrame", score: str, label: str | None = None, by: Sequence[str] = ("kind", "layer", "ratio")
) -> "pd.DataFrame":
    """The effect of each kind of arm on a score: its mean change from the unsteered arm, paired by prompt.

    All controls of a kind form one row, with their mean for each prompt.

    Args:
        rows: of ``wb.sweep`` on one prompt set, with a baseline.
        score: its name.
        label: the label whose share is measured, for a score that gives labels, e.g. "refusal".
        by: the columns that distinguish kinds of arms.

    Returns:
        One row per kind: the columns of ``by``, change, low, high (95% of prompts by base, bootstrap) and n, the number of
        prompts with a value under all of its arms. The change of a kind without two such prompts is NaN.

    Raises:
        WorkbenchError: a score that is not in the rows, no baseline, labels without ``label``, or a column that is not there.

    >>> arms = wb.grid(wb.extract(model, tiny_pairs, at=wb.resid_post(1)), ratios=[0, 0.2], controls=2)
    >>> questions = [wb.Prompt("write a song", "1", choices=["tea", "birds"], answer="tea"),
    ...              wb.Prompt("bake the cake", "2", choices=["tea", "birds"], answer="birds")]
    >>> rows = wb.sweep(model, questions, arms, [wb.multiple_choice], folder)
    >>> paired_changes(rows, "multiple_choice")["kind"].tolist()
    ['direction', 'random', 'orthogonal']
    """
    import pandas as pd

    part = rows[rows["score"] == score]
    if part.empty or BASELINE.name not in set(part["arm"]):
        raise WorkbenchError(
            f"rows lack {score if part.empty else 'a baseline'}; sweep with that score and the ratio 0"
        )
    if missing := [name for name in by if name not in rows.columns]:
        raise WorkbenchError(f"rows have no column {missing[0]!r}; they have {', '.join(rows.columns)}")
    if label is None and part["value"].map(type).eq(str).any():
        raise WorkbenchError(f"{score} gives labels; say which one counts, e.g. label='refusal'")
    values = part["value"] if label is None else part["value"].eq(label).where(part["value"].notna())
    table = part.assign(value=values.astype(float)).pivot(index="prompt", columns="arm", values="value")
    bases = part.drop_duplicates("prompt").set_index("prompt")["base"].loc[table.index].to_numpy()
    steered = part[part["arm"] != BASELINE.name].drop_duplicates("arm")
    effects = []
    for kind, arms in steered.groupby(list(by), sort=False)["arm"]:
        change = table[list(arms)].mean(axis=1, skipna=False) - table[BASELINE.name]
        effect = _mean_of_known(change.to_numpy(), bases, 0.95)
        effects.append((*kind, effect.value, effect.low, effect.high, int(change.notna().sum())))
    return pd.DataFrame(effects, columns=[*by, "change", "low", "high", "n"])
