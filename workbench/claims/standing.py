"""Is this the model that a log was written with? Three standings, by hub id and revision.

- *logged*: the model that the log names, at the revision of ``data/models/hubs.toml``, whatever it is called when it is
  loaded; or one that the user says is (a folder, say), which its entry records. Of a model whose revision no log tells,
  its hub id is enough; and for a claim of your own the name that its file gives.
- *another*: any other model that was trained as it is by its makers, or by the user.
- *analogue*: a model that was tuned here to stand in for one.
"""

import tomllib
from dataclasses import dataclass
from functools import cache

from workbench._errors import unknown
from workbench._files import data_folder
from workbench.claims.claim import Claim
from workbench.claims.files import logged_claims

#: standing -> what is appended to an outcome
STANDINGS = {"logged": "", "another": " (on another model)", "analogue": " (on analogue)"}


def standing_of(model: str, revision: str, claim: Claim) -> str:
    """The standing of a model, by the name and revision of its rows.

    >>> from workbench.claims.files import claim
    >>> standing_of("mistral-7b-v0.2", "3ad372fc79158a2148299e3318516c786aeded6c+0123456789abcdef", claim("S1.1"))
    'logged'
    >>> standing_of("Mistral-7B-Instruct-v0.2", "0123456789abcdef", claim("S1.1"))  # a folder of that name
    'another'
    >>> standing_of("smollm2-refusal", "0123456789abcdef", claim("S1.1"))
    'analogue'
    """
    if model and "/" not in model and (data_folder() / "models" / model / "adapter_config.json").is_file():
        return "analogue"
    names, model = {name.casefold() for name in claim.models}, model.casefold()
    pinned = {hub: hub.called() & names for hub in _hubs() if hub.called() & names}
    for hub in pinned:
        if model in (hub.name, hub.id.casefold()):
            return (
                "logged" if revision.partition("+")[0] == hub.revision and not {"~", "*"} & set(revision) else "another"
            )
    unpinned = names.difference(*pinned.values())
    owner, _, last = model.rpartition("/")
    is_id = bool(owner) and "/" not in owner
    own_claim = claim.id not in {one.id for one in logged_claims()}
    return "logged" if last in unpinned and (is_id or (own_claim and not owner)) else "another"


def standing_text(standing: str, on_analogue: bool) -> str:
    """What is appended to an outcome; entries from before standings were kept tell only whether it was the logged model."""
    return STANDINGS.get(standing, STANDINGS["analogue"] if on_analogue else "")


def check_standing(said: str) -> str:
    """What the user says a model is to the log; WorkbenchError for anything but a standing."""
    if said not in STANDINGS:
        raise unknown("standing", said, STANDINGS)
    return said


@dataclass(frozen=True)
class _Hub:
    """A pinned model of a hub; ``alias``: what logs call it beside the last part of its id."""

    name: str
    id: str
    revision: str
    alias: tuple[str, ...]

    def called(self) -> set[str]:
        return {name.casefold() for name in (self.id.rpartition("/")[2], *self.alias)}


@cache
def _hubs() -> tuple[_Hub, ...]:
    content = tomllib.loads((data_folder() / "models" / "hubs.toml").read_text())
    return tuple(_Hub(k, one["id"], one["revision"], tuple(one.get("called", ()))) for k, one in content.items())
