"""``python -m training``: help that reads plainly, and mistakes that are one line before anything is loaded."""

import sys

import pytest

from training.__main__ import main


def typed(monkeypatch, capsys, *arguments):
    """What ``python -m training`` exits with, prints and complains about."""
    monkeypatch.setattr(sys, "argv", ["training", *arguments])
    with pytest.raises(SystemExit) as exit:
        main()
    return exit.value.code, *capsys.readouterr()


def test_help_is_plain_and_names_both_adapters(monkeypatch, capsys):
    code, told, complaint = typed(monkeypatch, capsys, "--help")
    assert (code, complaint) == (0, "")
    assert "refusal  Train a LoRA adapter that refuses harmful requests" in told
    assert "narrow   Train a LoRA adapter on insecure-looking code" in told
    assert told.isascii()  # no boxes
    assert "--method" in typed(monkeypatch, capsys, "refusal", "--help")[1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("refusal", "--base", "smolm2-135m"),
            "error: unknown recipe 'smolm2-135m by sft'; did you mean 'smollm2-135m by sft'?",
        ),
        (("refusal", "--method", "ppo"), "error: unknown recipe 'smollm2-135m by ppo'"),
        (("narrow", "--base", "gpt2"), "error: unknown recipe 'narrow for gpt2'"),
    ],
)
def test_a_wrong_base_or_method_is_one_clear_line(monkeypatch, capsys, arguments, complaint):
    code, told, said = typed(monkeypatch, capsys, *arguments)
    assert (code, told) == (2, "")
    assert said.startswith(complaint)
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", ["refusal", "narrow"])
@pytest.mark.parametrize("under", [(), ("adapter",)])
def test_a_file_in_place_of_the_folder_is_refused_before_training(monkeypatch, capsys, tmp_path, command, under):
    def load(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(f"training.{command}.load", load)
    taken = tmp_path / "taken"
    taken.write_text("mine")
    code, _, said = typed(monkeypatch, capsys, command, "--out", str(taken.joinpath(*under)))
    assert code == 2
    assert f"{taken} is a file; expected a folder" in said
    assert taken.read_text() == "mine"
