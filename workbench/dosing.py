"""What each dose of a direction does to a score, beside its controls: does it steer, and at which doses is the text still whole?"""

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import WorkbenchError
from workbench.statistics import mean

if TYPE_CHECKING:
    import pandas as pd


def dose_effects(rows: "pd.DataFrame", score: str, floor: float = 0.7) -> "pd.DataFrame":
    """Per dose of the direction: change of a score, paired by prompt, coherence, and the largest change of a coherent control.

    Args:
        rows: of ``wb.sweep`` on one prompt set, with a baseline, direction arms and control arms, scored by ``score`` (a number)
            and by "coherence".
        score: name of the score.
        floor: least mean coherence of an arm that counts.

    Returns:
        One row per direction arm: arm, layer, ratio, change, low, high (corrected for the number of such arms, Bonferroni),
        control (the largest change of a control at that layer and dose; NaN where none is coherent), coherence, steers:
        the arm is coherent, its interval lies above 0 and its change above every coherent control, of which there is one at least.

    Raises:
        WorkbenchError: a score that is not in the rows, or no baseline.

    >>> dose_effects(rows, wb.trait_odds("optimism").name)  # doctest: +SKIP
    """
    import pandas as pd

    lacking = [name for name in (score, "coherence") if name not in set(rows["score"])]
    if lacking or "baseline" not in set(rows["arm"]):
        raise WorkbenchError(
            f"rows lack {lacking[0] if lacking else 'a baseline'}; sweep with the ratio 0 and both scores"
        )
    values = rows.pivot(index="prompt", columns=["score", "arm"], values="value").astype(float)
    bases = rows.drop_duplicates("prompt").set_index("prompt")["base"].loc[values.index].to_numpy()
    arms = rows.drop_duplicates("arm").set_index("arm")[["kind", "layer", "ratio"]].drop(index="baseline")
    change = {arm: (values[score, arm] - values[score, "baseline"]).to_numpy() for arm in arms.index}
    fluent = {arm: float(values["coherence", arm].mean()) for arm in arms.index}
    own = arms[arms["kind"] == "direction"]
    found = []
    for arm, about in own.iterrows():
        beside = arms[(arms["kind"] != "direction") & (arms["layer"] == about["layer"])]
        beside = beside[np.isclose(beside["ratio"].astype(float), about["ratio"])]
        limit = max((change[c].mean() for c in beside.index if fluent[c] >= floor), default=np.nan)
        effect = mean(change[arm], bases, confidence=1 - 0.05 / len(own))
        steers = fluent[arm] >= floor and effect.low > 0 and effect.value > limit
        found.append(
            (arm, about["layer"], about["ratio"], effect.value, effect.low, effect.high, limit, fluent[arm], steers)
        )
    columns = ["arm", "layer", "ratio", "change", "low", "high", "control", "coherence", "steers"]
    return pd.DataFrame(found, columns=columns)
