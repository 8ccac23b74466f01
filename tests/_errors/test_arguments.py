"""A slip in an argument is named by the annotation that it does not fit; nothing else is touched."""

import doctest
import inspect
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench._errors.arguments import _hint, find_slip, fits
from workbench.steering import directions

A = np.ones(3)


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, int, True),
        (np.int64(1), int, True),
        (True, int, False),
        (1.0, int, False),
        (np.float32(1), float, True),
        (1, float, True),
        ("1", float, False),
        (True, bool, True),
        (1, bool, False),
        (None, int | None, True),
        ("", int | None, False),
        ("a", Sequence[str], False),
        (["a"], Sequence[str], True),
        ([1], Sequence[str], False),
        (A, Sequence[float], True),
        (torch.ones(3), Sequence[float], True),
        (pd.Series([1.0]), Sequence[float], True),
        (pd.DataFrame({"a": [1]}), Sequence[float], False),
        ({"a": 1}, Mapping[str, int], True),
        ({"a": "b"}, Mapping[str, int], False),
        ((1, "a"), tuple[int, str], True),
        ((1, 2), tuple[int, str], False),
        ((1, 2, 3), tuple[int, ...], True),
        (len, Callable[[str], int], True),
        (5, Callable, False),
        ("a", Literal["a", "b"], True),
        ("c", Literal["a", "b"], False),
        (iter([1]), Iterable[int], True),
        (5, Any, True),
        (5, "a name that nobody knows", True),
    ],
)
def test_what_fits(value, hint, expected):
    assert fits(value, hint) is expected


def offered():
    """All functions that a user is given, by name."""
    for package in (wb, wb.statistics, wb.figures):
        for name in package.__all__:
            if inspect.isfunction(getattr(package, name)):
                yield f"{package.__name__}.{name}", getattr(package, name)


def test_every_function_is_explained_and_its_annotations_can_be_told():
    functions = dict(offered())
    assert len(functions) > 100
    assert all(hasattr(function, "__wrapped__") for function in functions.values())
    unknown = [
        (name, parameter.name)
        for name, function in functions.items()
        for parameter in inspect.signature(function).parameters.values()
        if _hint(function.__wrapped__, parameter.annotation) is Any and "Any" not in str(parameter.annotation)
    ]
    assert unknown in (
        [],
        [("workbench.figures.attention", "patterns")],
    )  # what numpy makes an array of is for numpy to say


def test_what_succeeds_is_what_it_would_be_without():
    assert wb.statistics.rate(3, 10) == wb.statistics.rate.__wrapped__(3, 10)
    assert wb.cosines is wb.cosines
    assert pickle.loads(pickle.dumps(wb.cosines)) is wb.cosines
    assert inspect.signature(wb.add) == inspect.signature(wb.add.__wrapped__)


def test_an_error_that_no_argument_explains_stays_what_it_is():
    def broken(rows):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        wb.statistics.bootstrap(broken, clusters=[1, 2, 3])
    with pytest.raises(TypeError, match="unexpected keyword"):
        wb.add(nonsense=3)


def test_a_misspelt_argument_is_told_the_name_it_is_close_to():
    with pytest.raises(wb.WorkbenchError, match=r"grid\(\) has no argument ratio=; did you mean ratios=\?"):
        wb.grid(None, ratio=0.3)
    with pytest.raises(TypeError, match="unexpected keyword"):
        wb.add(None, ratio=0.3, rato=0.3)  # the name it is close to is given already


def test_the_python_error_is_kept_as_the_cause():
    with pytest.raises(wb.WorkbenchError) as raised:
        wb.cosines(5)
    assert isinstance(raised.value.__cause__, AttributeError)


def test_a_default_is_never_the_slip():
    def function(a: int, b: str = None): ...  # noqa: RUF013 (as some do)

    assert find_slip(function, (1,), {"b": None}) is None
    assert "b=3: expected str" in str(find_slip(function, (1, 3), {}))


def test_examples_of_methods_are_still_found():
    assert wb.Direction.__init__.__wrapped__
    found = doctest.DocTestFinder().find(directions, "directions")
    assert any(test.name.endswith("Direction.orthogonal") and test.examples for test in found)
