"""By which criteria were logged claims judged before? Those that were replaced, as data, each with its reason.

An entry of the ledger that was decided by one of these keeps its verdict. One that was decided by a criterion which is
neither here nor in the claims file is reported: somebody changed the rule and did not say so.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache

from workbench._files import data_folder


@cache
def _replaced() -> tuple[Mapping, ...]:
    file = data_folder() / "claims" / "earlier.json"
    return tuple(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else ()


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
    return [one for one in _replaced() if one["claim"] == claim]
