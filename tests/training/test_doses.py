"""The card of a model that was not trained here: counts as they are, labels that are missing left out, the useful doses named."""

from types import SimpleNamespace

import pandas as pd
import pytest

import training.cards as cards
import workbench as wb
from training.doses import count_doses, measure_doses, share
from workbench import statistics
from workbench.models.registry import SOURCES

SOURCE = SOURCES["qwen2.5-coder-0.5b"]


def arm(kind, layer, dose, harmful, harmless):
    """Rows of one arm; None is a row without a label."""
    return [
        {"kind": kind, "layer": layer, "ratio": dose, "set": side, "value": value}
        for side, values in (("positive", harmful), ("negative", harmless))
        for value in values
    ]


@pytest.fixture
def counts():
    r, c, x = "refusal", "compliance", "collapse"
    rows = arm("baseline", -1, 0.0, [r, r, c, c], [c] * 4)
    rows += arm("direction", 12, -0.1, [c] * 4, [c, c, c, None]) + arm("direction", 12, 0.1, [r] * 4, [r, c, c, c])
    rows += arm("direction", 12, 0.2, [r] * 4, [x] * 4)
    rows += arm("random", 12, -0.1, [r, c, c, c], [c] * 4) + arm("random", 12, -0.1, [r, r, c, c], [c] * 4)
    return count_doses(pd.DataFrame(rows))


def test_arms_of_a_kind_are_counted_together_and_rows_without_a_label_left_out(counts):
    by_arm = {(one.kind, one.dose): one for one in counts}
    assert next(iter(by_arm)) == ("baseline", 0.0)
    assert (by_arm["random", -0.1].harmful.value, by_arm["random", -0.1].harmful.n) == (3 / 8, 8)
    assert by_arm["direction", -0.1].harmless.n == 3
    assert by_arm["direction", 0.2].collapse.value == 0.5
    assert share(pd.DataFrame({"value": ["refusal", None]}), "refusal").n == 1


def test_the_card_says_what_was_measured(counts, monkeypatch):
    monkeypatch.setattr(cards, "read_json", lambda path: {"_model_name_or_path": "A Model AWQ"})
    monkeypatch.setattr(cards, "manifest", lambda source: {"max_logit_difference": 0.0})
    model = SimpleNamespace(n_layers=24, d_model=896, dtype="torch.bfloat16")
    rates = {"test harmful": statistics.rate(85, 120)}
    card = cards.aligned_card(model, SOURCE, 7, rates, {"test harmful": statistics.rate(2, 120)}, {}, counts)
    assert "| test harmful | 70.8% | 62.2% to 78.2% | 120 | 2 |" in card
    assert "`wb.refusal` version 7" in card
    assert "| 12 | 0/4 · 0/3 · 0/7 | 4/4 · 1/4 · 0/8 | 4/4 · 0/4 · 4/8 |" in card
    assert "fall to 10% or less at: -0.1 at layers 12." in card
    assert "rise to 80% or more at: +0.1 at layers 12." in card  # at +0.2 half of the answers collapse
    assert "| random | 3/8 · 0/8 · 0/16 |" in card
    assert SOURCE.sha256 in card


def test_the_bundled_card_is_of_this_model():
    card = (cards_folder() / "README.md").read_text()
    assert SOURCE.sha256 in card
    assert "Apache-2.0" in card
    for title in ("Provenance", "Measured", "Limits", "Licence"):
        assert f"\n## {title}\n" in card


def cards_folder():
    from workbench._files import data_folder

    return data_folder() / "models" / SOURCE.name


def test_other_models_are_refused_before_they_are_loaded(tmp_path):
    with pytest.raises(wb.WorkbenchError, match="is no embedded model"):
        measure_doses("smollm2-refusal", tmp_path / "card.md", tmp_path)
