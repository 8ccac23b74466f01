"""Figures are saved as pages, and as pictures by a browser that is installed."""

import importlib.util

import plotly.graph_objects as go
import pytest

import workbench as wb

START = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}


@pytest.fixture
def figure():
    return go.Figure(go.Scatter(y=[1, 3, 2]), layout={"title": {"text": "Three points"}})


@pytest.mark.browser
@pytest.mark.parametrize("ending", START)
def test_a_picture_is_drawn_and_keeps_the_dots_of_its_name(ending, figure, tmp_path):
    path = wb.figures.save(figure, tmp_path / f"ratio_0.3.{ending}")
    assert path.name == f"ratio_0.3.{ending}"
    assert path.read_bytes().startswith(START[ending])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.browser
@pytest.mark.parametrize(("asked", "given", "drawn"), [(900, None, 900), (None, None, 600), (900, (400, 300), 300)])
def test_a_picture_is_as_high_as_its_figure_asks_for(asked, given, drawn, figure, tmp_path):
    path = wb.figures.save(figure.update_layout(height=asked), tmp_path / "a.svg", given)
    assert f'height="{drawn * 2}"' in path.read_text()[:300] or f'height="{drawn}"' in path.read_text()[:300]


def test_a_page_of_text_is_no_picture(tmp_path):
    with pytest.raises(wb.WorkbenchError, match=r"save it as heads\.html"):
        wb.figures.save(wb.figures.attention([[1.0]], ["Hello"]), tmp_path / "heads.svg")
    assert not list(tmp_path.iterdir())


def test_without_kaleido_it_says_what_to_install(figure, tmp_path, monkeypatch):
    def lacking(self, *args, **kwargs):
        raise ValueError("Image export using the 'kaleido' engine requires the Kaleido package")

    find = importlib.util.find_spec
    monkeypatch.setattr(go.Figure, "to_image", lacking)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "kaleido" else find(name, *a))
    with pytest.raises(wb.WorkbenchError, match=r"pip install '\.\[pictures\]'"):
        wb.figures.save(figure, tmp_path / "a.svg")
    assert not list(tmp_path.iterdir())


def test_dots_in_a_name_are_kept_in_a_page(figure, tmp_path):
    assert wb.figures.save(figure, tmp_path / "ratio_0.3").name == "ratio_0.3.html"
