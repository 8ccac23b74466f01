"""The package: all its names, light to import, examples, and results that are plain and print on few lines."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from workbench import statistics


def test_every_name_is_there_and_nothing_heavy_is_imported_with_it():
    assert all(hasattr(statistics, name) for name in statistics.__all__)
    code = (
        "import sys, workbench.statistics; heavy = {'scipy', 'statsmodels', 'pandas', 'torch'}; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_every_public_function_has_an_example():
    functions = [getattr(statistics, name) for name in statistics.__all__]
    assert [f.__name__ for f in functions if callable(f) and not isinstance(f, type) and ">>>" not in f.__doc__] == []


@pytest.mark.parametrize(
    "result",
    [
        lambda: statistics.rate(np.int64(3), np.int64(5)),
        lambda: statistics.heterogeneity(np.array([3, 4]), np.array([5, 9])),
        lambda: statistics.trend(np.arange(3), np.array([1, 2, 3]), 5),
        lambda: statistics.mean(np.array([True, False, True])),
        lambda: statistics.mean(np.ones(3)),
        lambda: statistics.bootstrap(lambda rows: np.mean(rows), np.arange(5)),
        lambda: statistics.cohens_d(np.arange(4), np.arange(1, 7)),
        lambda: statistics.paired_difference(np.array([True, False]), np.array([True, True])),
        lambda: statistics.permutation(np.arange(4), np.arange(1, 5)),
        lambda: statistics.permutation_maximum(np.arange(6).reshape(3, 2)),
        lambda: statistics.equivalence(np.array([True, False]), np.array([True, True]), 0.5),
        lambda: statistics.equivalence(np.array([0.1, 0.3]), np.array([0.3, 0.4]), np.float64(0.5)),
        lambda: statistics.equivalence_rates(np.int64(3), np.int64(5), np.int64(4), np.int64(5), 0.5),
        lambda: statistics.dose_response(np.arange(4), np.array([1, 2, 4, 5]), np.full(4, 6)),
        lambda: statistics.largest_jump(np.arange(4), np.array([1, 2, 4, 5]), np.full(4, 6)),
        lambda: statistics.spearman(np.arange(9), np.arange(9) % 4),
        lambda: statistics.auc(np.arange(9), np.arange(9) % 4 < 2),
        lambda: statistics.kappa(["a", "b", "b"], ["a", "b", "a"]),
    ],
)
def test_results_are_plain_numbers_and_print_on_few_lines(result):
    found = result()
    kept = json.loads(json.dumps(dataclasses.asdict(found)))
    assert set(kept) == set(found.__dataclass_fields__)
    assert "np." not in str(found)
    assert found == result()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(found, next(iter(kept)), 0)
