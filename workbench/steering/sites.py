"""Where in a transformer something is read or written: one hook point at one layer.

Names are TransformerLens hook names. Layer ``L`` always means ``blocks.L``; ``resid_post(L)`` is what transformers calls
``hidden_states[L + 1]`` (its last entry is taken after the final norm, ours before it).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from workbench._errors import WorkbenchError, unknown

#: kind of site -> its TransformerLens hook name within a block
HOOK_NAMES: dict[str, str] = {
    "resid_pre": "hook_resid_pre",
    "resid_mid": "hook_resid_mid",
    "resid_post": "hook_resid_post",
    "attn_out": "hook_attn_out",
    "mlp_out": "hook_mlp_out",
    "attn_raw": "attn.hook_out",
    "mlp_raw": "mlp.hook_out",
    "q": "attn.hook_q",
    "k": "attn.hook_k",
    "v": "attn.hook_v",
    "z": "attn.hook_z",
}

#: kind of site -> its place in the forward pass of a block
_STAGE = {"resid_pre": 0, "q": 1, "k": 1, "v": 1, "z": 2, "attn_raw": 3, "attn_out": 4, "resid_mid": 5}
_STAGE |= {"mlp_raw": 6, "mlp_out": 7, "resid_post": 8}

_KINDS = {hook: kind for kind, hook in HOOK_NAMES.items()}


@dataclass(frozen=True, order=True)
class Site:
    """One hook point at one layer.

    ``attn_out`` and ``mlp_out`` are the outputs that are added to the residual stream. ``attn_raw`` and ``mlp_raw``
    are these outputs before the sandwich norm of Gemma 2 and 3; on other families they are equal to ``attn_out`` and
    ``mlp_out``. ``q``, ``k``, ``v`` are the outputs of the projections, before any norm or rotation; ``z`` is the
    input of the attention's output projection.

    Raises:
        WorkbenchError: the kind is unknown or the layer is not a whole number from 0.

    >>> str(resid_post(12))
    'blocks.12.hook_resid_post'
    >>> Site.parse("blocks.3.attn.hook_z")
    z(3)
    """

    layer: int
    kind: str

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in HOOK_NAMES:
            raise unknown("kind of site", self.kind, HOOK_NAMES)
        if isinstance(self.layer, bool) or not isinstance(self.layer, int) or self.layer < 0:
            raise WorkbenchError(f"a layer is a whole number from 0, not {self.layer!r}; e.g. wb.{self.kind}(12)")

    @property
    def order(self) -> tuple[int, int]:
        """Its place in the forward pass: sites of a lower order are computed earlier or alongside, never later."""
        return self.layer, _STAGE[self.kind]

    def __str__(self) -> str:
        return f"blocks.{self.layer}.{HOOK_NAMES[self.kind]}"

    def __repr__(self) -> str:
        return f"{self.kind}({self.layer})"

    @classmethod
    def parse(cls, name: str) -> "Site":
        """A Site from a TransformerLens hook name or from its short form, ``resid_post(12)``."""
        name = name if isinstance(name, str) else repr(name)
        if match := re.fullmatch(
            r"blocks\.(?P<layer>\d+)\.(?P<hook>.+)|(?P<kind>\w+)\((?P<number>\d+)\)", name.strip()
        ):
            kind = _KINDS.get(match["hook"]) or match["kind"]
            if kind in HOOK_NAMES:
                return cls(int(match["layer"] or match["number"]), kind)
        raise WorkbenchError(
            f"{name!r} is no site; expected e.g. 'blocks.12.hook_resid_post' or 'resid_post(12)', with one of "
            f"{', '.join(HOOK_NAMES)}"
        )


@dataclass(frozen=True)
class EveryLayer:
    """One kind of site at every layer of whatever model it meets: ``wb.resid_post.all``."""

    kind: str

    def sites(self, n_layers: int) -> tuple[Site, ...]:
        """The sites of a model with ``n_layers`` layers, from layer 0 up."""
        return tuple(Site(layer, self.kind) for layer in range(n_layers))

    def __repr__(self) -> str:
        return f"{self.kind}.all"


@dataclass(frozen=True)
class SiteKind:
    """A kind of site: call it with a layer for a Site, take ``.all`` for every layer.

    >>> resid_post(12), resid_post.all
    (resid_post(12), resid_post.all)
    """

    kind: str

    def __call__(self, layer: int) -> Site:
        """This kind of site at one layer."""
        return Site(layer, self.kind)

    @property
    def all(self) -> EveryLayer:
        """This kind of site at every layer."""
        return EveryLayer(self.kind)

    def __repr__(self) -> str:
        return self.kind


resid_pre = SiteKind("resid_pre")
"""Residual stream ``[batch, position, d_model]`` before a block: ``resid_pre(12)``, or ``resid_pre.all`` for every layer."""

resid_mid = SiteKind("resid_mid")
"""Residual stream ``[batch, position, d_model]`` between attention and MLP of a block."""

resid_post = SiteKind("resid_post")
"""Residual stream ``[batch, position, d_model]`` after a block; transformers' ``hidden_states[layer + 1]``."""

attn_out = SiteKind("attn_out")
"""What attention adds to the residual stream, ``[batch, position, d_model]``; on Gemma 2 and 3 after the sandwich norm."""

mlp_out = SiteKind("mlp_out")
"""What the MLP adds to the residual stream, ``[batch, position, d_model]``; on Gemma 2 and 3 after the sandwich norm."""

attn_raw = SiteKind("attn_raw")
"""Output of attention before a sandwich norm, ``[batch, position, d_model]``; the same as ``attn_out`` where there is none."""

mlp_raw = SiteKind("mlp_raw")
"""Output of the MLP before a sandwich norm, ``[batch, position, d_model]``; the same as ``mlp_out`` where there is none."""

q = SiteKind("q")
"""Queries, ``[batch, position, head, d_head]``."""

k = SiteKind("k")
"""Keys, ``[batch, position, key-value head, d_head]``."""

v = SiteKind("v")
"""Values, ``[batch, position, key-value head, d_head]``."""

z = SiteKind("z")
"""What each head read, before the output projection, ``[batch, position, head, d_head]``."""


def as_site(value: object) -> Site:
    """A Site as it is, or parsed from its name; anything else is refused."""
    if isinstance(value, str):
        return Site.parse(value)
    if not isinstance(value, Site):
        hint = f"wb.{value!r}(12)" if isinstance(value, SiteKind) else "wb.resid_post(12)"
        raise WorkbenchError(f"at= is a site at one layer, e.g. {hint}, not {value!r}")
    return value


def sites_at(at: "Site | SiteKind | EveryLayer | str | Sequence[Site | str]", n_layers: int) -> tuple[Site, ...]:
    """The sites that ``at=`` means in a model of so many layers, each once. Raises WorkbenchError where it means none.

    >>> sites_at(resid_post.all, n_layers=2)
    (resid_post(0), resid_post(1))
    """
    if isinstance(at, SiteKind):
        raise WorkbenchError(f"at={at!r} names no layer: try wb.{at!r}({n_layers // 2}) or wb.{at!r}.all")
    if isinstance(at, EveryLayer):
        return at.sites(n_layers)
    places: Sequence[object] = at if isinstance(at, Sequence) and not isinstance(at, str) else [at]
    sites = tuple(dict.fromkeys(map(as_site, places)))
    if not sites:
        raise WorkbenchError("at= names no site; try e.g. wb.resid_post.all")
    return sites


def check_layer(site: Site, n_layers: int, model: str) -> None:
    """Refuse a site above the model's last layer.

    >>> check_layer(resid_post(3), n_layers=4, model="tiny")
    """
    if site.layer >= n_layers:
        raise WorkbenchError(
            f"{site!r} is not in {model}, which has {n_layers} layers, 0 to {n_layers - 1}; "
            f"try wb.{site.kind}({n_layers - 1}) or lower"
        )
