"""Which model is the logged one: by hub id and revision, or because the user says so."""

import pytest

import workbench as wb
from workbench.claims.standing import standing_of
from workbench.models.registry import SOURCES, Hub

PINNED = SOURCES["mistral-7b-v0.2"].revision
MEASURED = wb.Measured(wb.Estimate(0.9, 0.8, 0.96, 48, "Wilson"), 0.001, True)


@pytest.mark.parametrize(
    ("model", "revision", "standing"),
    [
        ("mistral-7b-v0.2", PINNED, "logged"),
        ("mistral-7b-v0.2", f"{PINNED}+0123456789abcdef", "logged"),
        ("mistralai/Mistral-7B-Instruct-v0.2", PINNED, "logged"),
        ("MistralAI/mistral-7b-instruct-v0.2", PINNED, "logged"),
        ("mistral-7b-v0.2", f"{PINNED}+0123456789abcdef~edited", "another"),  # edited in memory
        ("mistral-7b-v0.2", "0" * 40, "another"),  # another commit
        ("Mistral-7B-Instruct-v0.2", "0123456789abcdef", "another"),  # a folder of that name
        ("mistral-7b-v0.3", SOURCES["mistral-7b-v0.3"].revision, "another"),
        ("someone/Mistral-7B-Instruct-v0.2", PINNED, "another"),
        ("smollm2-refusal", "0123456789abcdef", "analogue"),
        ("smollm2-135m", "0123456789abcdef", "another"),
        ("qwen2.5-coder-0.5b", "0123456789abcdef", "another"),
        ("checkpoint-100", "0123456789abcdef", "another"),
        ("/models/smollm2-refusal", "0123456789abcdef", "another"),
    ],
)
def test_the_logged_model_is_a_hub_id_and_a_revision(model, revision, standing):
    assert standing_of(model, revision, wb.claim("S1.1")) == standing


def test_every_registered_model_is_the_logged_one_of_some_claim_of_its_logs():
    for source in SOURCES.values():
        if isinstance(source, Hub) and "repository" not in source.about:
            assert any(standing_of(source.name, source.revision, one) == "logged" for one in wb.ledger.open("x").claims)


def test_a_folder_is_the_logged_model_if_the_user_says_so_and_the_entry_records_it(tmp_path):
    about = {
        "measured": MEASURED,
        "model": "Mistral-7B-Instruct-v0.2",
        "revision": "0123456789abcdef",
        "path": tmp_path,
    }
    silent, said = wb.ledger.record("S1.1", **about), wb.ledger.record("S1.1", standing="logged", **about)
    assert (silent.on_analogue, said.on_analogue) == (True, False)
    assert "(on another model)" in str(silent)
    assert "(on " not in str(said)
    entries = wb.ledger.open(tmp_path).entries()
    assert [(one.standing, one.how["standing_said"]) for one in entries] == [("another", False), ("logged", True)]
    assert wb.ledger.open(tmp_path).recheck()["agrees"].all()
    with pytest.raises(wb.WorkbenchError, match="unknown standing 'loged'; did you mean 'logged'"):
        wb.ledger.record("S1.1", standing="loged", **about)
