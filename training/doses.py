"""Measure an embedded model that refuses by itself, for its card: untouched, and under doses of its refusal direction.

Every completion and the directions lie in a folder of runs: under another version of the label the same command scores the
stored texts again and writes nothing new.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.cards import DoseCount, aligned_card
from workbench._errors import WorkbenchError
from workbench._files import data_folder
from workbench.activations.collect import contrast
from workbench.activations.extract import extract, shuffled
from workbench.activations.heldout import Detection, separation
from workbench.models.load import load
from workbench.models.model import Model
from workbench.models.prompt_files import pairs
from workbench.models.prompts import Pairs, Prompts
from workbench.models.registry import SOURCES, Embedded
from workbench.scoring.labels import refusal
from workbench.statistics.rates import rate
from workbench.statistics.results import Estimate
from workbench.steering.arms import BASELINE, Arm, grid
from workbench.steering.directions import Directions
from workbench.steering.positions import PROMPT, RESPONSE
from workbench.steering.sites import resid_post
from workbench.sweeps.sweep import sweep

if TYPE_CHECKING:
    import pandas as pd

#: tokens of each answer
TOKENS = 32
#: depths of the layers that are steered, in shares of the model's layers
DEPTHS = (0.33, 0.42, 0.5, 0.58, 0.67, 0.75)
#: doses at every such layer; and at the middle ones, where they are known to be too much
DOSES, STRONG = (-0.12, -0.06, 0.06, 0.12), (-0.2, 0.2)
#: where and at which doses other directions of equal norm are tried
CONTROL_DEPTH, CONTROL_DOSES = 0.58, (-0.12, 0.12)
#: dev prompts of a kind in each arm
DEV = 20
ON = PROMPT[-1] | RESPONSE
SIDES = {"positive": "harmful", "negative": "harmless", "borderline": "borderline"}


def measure_doses(name: str, out: Path | None = None, runs: Path = Path("runs") / "cards") -> str:
    """Measure an embedded model and write its card. Returns the measured rates, one a line.

    Args:
        name: of an embedded model. out: the card; by default README.md of the model's folder in the bundled data.
        runs: folder under which the directions, completions and rows are kept.

    Raises:
        WorkbenchError: a model that is not embedded.
    """
    source = SOURCES.get(name)
    if not isinstance(source, Embedded):
        raise WorkbenchError(f"{name} is no embedded model; a reference model's card is written when it is trained")
    folder = runs / name
    folder.mkdir(parents=True, exist_ok=True)
    model, sides = load(name, dtype="auto"), pairs("refusal")
    store = folder / "store"
    base = sweep(model, _test(sides), [BASELINE], [refusal], store, TOKENS)
    base.to_parquet(folder / "base_rows.parquet", index=False)
    (ds,) = _kept([folder / "directions.safetensors"], lambda: [_every_layer(model, sides.train)])
    arms = dose_arms(model, sides, ds, folder)
    rows = sweep(model, _dev(sides), arms, [refusal], store, TOKENS)
    rows.to_parquet(folder / "dose_rows.parquet", index=False)
    parts = {f"test {SIDES[str(side)]}": part for side, part in base.groupby("set", sort=False)}
    rates, collapse = ({name: share(part, label) for name, part in parts.items()} for label in ("refusal", "collapse"))
    apart = separations(model, sides, ds, store)
    path = out or data_folder() / "models" / name / "README.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(aligned_card(model, source, refusal.version, rates, collapse, apart, count_doses(rows)))
    return "\n".join(f"{which}: {value}" for which, value in rates.items())


def dose_arms(model: Model, sides: Pairs, ds: Directions, folder: Path) -> tuple[Arm, ...]:
    """The direction at several layers and doses; random, orthogonal and shuffled ones at one layer, at two of the doses."""
    layers = depth_layers(model, DEPTHS)
    arms = grid(ds, layers=layers, ratios=[0, *DOSES], on=ON)
    arms += grid(ds, layers=layers[2:4], ratios=list(STRONG), on=ON)
    (middle,) = depth_layers(model, (CONTROL_DEPTH,))
    twins = _kept(
        [folder / f"shuffled_{seed}.safetensors" for seed in range(2)],
        lambda: shuffled(model, sides.train, at=resid_post(middle), read=PROMPT[-1], seeds=range(2)),
    )
    others = grid(ds[middle], ratios=list(CONTROL_DOSES), on=ON, controls=2, shuffled=twins)
    return arms + tuple(arm for arm in others if arm.kind != "direction")


def depth_layers(model: Model, depths: Sequence[float]) -> list[int]:
    """Layers at shares of the depth of a model."""
    return sorted({min(round(depth * model.n_layers), model.n_layers - 1) for depth in depths})


def separations(model: Model, sides: Pairs, ds: Directions, store: Path) -> dict[int, dict[str, Detection]]:
    """By layer, how well the direction tells dev prompts apart, beside a bag of words and random directions."""
    layers = depth_layers(model, DEPTHS)
    sites = [resid_post(layer) for layer in (0, *layers)]
    held, train = (contrast(model, part, sites, PROMPT[-1], store=store) for part in (sides.dev, sides.train))
    results = {layer: separation(ds[layer], held, train) for layer in layers}
    return {
        layer: {name: one[name] for name in ("direction", "bag of words", "random")} for layer, one in results.items()
    }


def count_doses(rows: "pd.DataFrame") -> list[DoseCount]:
    """The counts of every arm of a sweep over dev prompts, controls of a kind together."""
    steered = rows[rows["kind"] != "baseline"]
    counts = [_count("baseline", -1, 0.0, rows[rows["kind"] == "baseline"])]
    for (kind, layer, dose), part in steered.groupby(["kind", "layer", "ratio"], sort=False):
        counts.append(_count(str(kind), int(layer), float(dose), part))
    return counts


def share(rows: "pd.DataFrame", label: str) -> Estimate:
    """The share of a label among the rows that have one, with its Wilson interval."""
    labelled = rows["value"].dropna()
    return rate(int((labelled == label).sum()), len(labelled))


def _count(kind: str, layer: int, dose: float, rows: "pd.DataFrame") -> DoseCount:
    harmful, harmless = (share(rows[rows["set"] == side], "refusal") for side in ("positive", "negative"))
    return DoseCount(kind, layer, dose, harmful, harmless, share(rows, "collapse"))


def _every_layer(model: Model, sides: Pairs) -> Directions:
    ds = extract(model, sides, at=resid_post.all, read=PROMPT[-1])
    assert isinstance(ds, Directions)
    return ds


def _kept(paths: Sequence[Path], make: Callable[[], Sequence[Directions]]) -> list[Directions]:
    """Directions out of files, made and written the first time: stored completions then stay those of their arms."""
    if not all(path.exists() for path in paths):
        for path, ds in zip(paths, make(), strict=True):
            ds.save(path)
    return [Directions.load(path) for path in paths]


def _test(sides: Pairs) -> dict[str, Prompts]:
    part = sides.test
    assert part.borderline is not None
    return {"positive": part.positive, "negative": part.negative, "borderline": part.borderline}


def _dev(sides: Pairs) -> dict[str, Prompts]:
    return {"positive": sides.dev.positive.take(DEV), "negative": sides.dev.negative.take(DEV)}
