"""What did verdicts rest on that was replaced since? Criteria of logged claims and adapters of bundled models, as data.

An entry of the ledger that was decided by a replaced criterion keeps its verdict. One that was decided by a criterion which
is neither here nor in the claims file is reported: somebody changed the rule and did not say so.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache

from workbench._files import data_folder


def earlier_criteria(claim: str) -> Sequence[Mapping]:
    """The criteria that a claim, or part of one, had before, oldest first.

    Args:
        claim: its id, e.g. ``"S2.17"``.

    Returns:
        For each ``claim``, ``until`` (the day on which it was replaced), ``why`` and ``criterion`` (as entries hold it).

    >>> [earlier["criterion"]["minimum_effect"] for earlier in earlier_criteria("S2.17")]
    ['0.7']
    >>> earlier_criteria("S0.9")
    []
    """
    return [one for one in replaced_criteria() if one["claim"] == claim]


def replaced_criteria() -> Sequence[Mapping]:
    """The replaced criteria of all claims, as ``earlier_criteria`` gives those of one."""
    return _bundled("claims", "earlier.json")


def replaced_adapters() -> Sequence[Mapping]:
    """The bundled adapters that published verdicts rest on and that were replaced since.

    Returns:
        For each ``model``, ``adapter`` (the first digits of the sha256 of its weights) and ``entries`` (ids of the verdicts).
    """
    return _bundled("ledger", "earlier_adapters.json")


@cache
def _bundled(folder: str, name: str) -> tuple[Mapping, ...]:
    file = data_folder() / folder / name
    return tuple(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else ()
