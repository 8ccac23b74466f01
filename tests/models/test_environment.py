"""``workbench doctor`` says what is there and how to get what is not; a device that is not there is one clear line."""

import pytest
import torch

import workbench as wb
from workbench.models.environment import devices, examine


def test_what_is_absent_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    absent = {part.name: part for part in examine() if part.state != "ok"}
    assert absent["smollm2-refusal"].remedy == "workbench fetch smollm2-refusal"
    assert all(part.remedy for part in absent.values())
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_too_old_is_wrong(monkeypatch):
    import workbench.models.environment as environment

    monkeypatch.setattr(
        environment, "requires", lambda name: ["tqdm>=9999", 'ray>=9999; extra == "ray"', "no-such-package"]
    )
    parts = {part.name: part for part in environment.examine() if part.group == "packages"}
    assert (parts["tqdm"].state, parts["tqdm"].remedy) == ("wrong", "pip install 'tqdm>=9999'")
    assert parts["no-such-package"].seen == "not installed"
    assert "ray" not in parts


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("cuda:99", "cuda:99"),
        ("mps:1", "mps:1"),
        ("gpu", "expected e.g."),
        ("cpu:1", "cpu:1"),
        ("cuda:x", "cuda:x"),
    ],
)
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(device, said, tiny_folder):
    with pytest.raises(wb.WorkbenchError, match=said):
        wb.load(str(tiny_folder), device=device)


def test_auto_takes_the_first_device_that_there_is(tiny_folder):
    first = next(name for name, there in devices().items() if there)
    loaded = wb.load(str(tiny_folder), device="auto")
    assert next(loaded.hf.parameters()).device.type == first


def test_auto_prefers_cuda_then_mps(monkeypatch):
    from workbench.models.load import _place

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert _place("auto").type == _place(None).type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert _place(None).type == "cuda"
    assert _place("cpu").type == "cpu"
