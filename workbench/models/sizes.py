"""The sizes of a model: what its parameters, its arithmetic and its KV cache can be counted from without loading it."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from workbench._errors import WorkbenchError, unknown
from workbench._files import data_folder
from workbench.models.families import check_sizes_of
from workbench.models.folder import read_json
from workbench.models.registry import SOURCES, Hub, Reference


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder with gated MLPs and grouped-query attention (Llama, Mistral, Qwen, Gemma families).

    Of a mixture of experts, ``intermediate`` is the width of one expert, ``active_experts`` of ``experts`` see a token, and
    ``shared`` is the width of the expert that sees every token. Norms and biases, under 0.1% of the parameters of any real
    model, are not counted.

    >>> round(shape("llama3.1-70b").parameters / 1e9, 1)
    70.6
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied: bool
    source: str
    experts: int = 0
    active_experts: int = 0
    shared: int = 0

    @property
    def layer_parameters(self) -> int:
        """Parameters that a token meets in all layers: queries and outputs, keys and values, and the three of the MLP."""
        return self._layers_with(self.active_experts)

    @property
    def parameters(self) -> int:
        """All parameters, the embedding once if it is tied to the output."""
        return self._layers_with(self.experts) + self.vocabulary * self.hidden * (1 if self.tied else 2)

    def _layers_with(self, experts: int) -> int:
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        width = experts * self.intermediate + self.shared if self.experts else self.intermediate
        router = self.hidden * (self.experts + (self.shared > 0))
        return self.layers * (attention + 3 * self.hidden * width + router)

    @property
    def cached_numbers(self) -> int:
        """Numbers that one token leaves in the KV cache: a key and a value per layer and KV head."""
        return 2 * self.layers * self.kv_heads * self.head_dim


def shape(name: str) -> Shape:
    """The sizes of a model by registry name, hub id or local folder; no model is loaded or fetched.

    Raises:
        WorkbenchError: the sizes are not known; the message lists the names that are.
    """
    known = _known()
    by_id = {s.id.lower(): s.name for s in SOURCES.values() if isinstance(s, Hub)}
    by_id |= {sizes.source.rsplit(" ", 1)[-1].lower(): sizes.name for sizes in known.values()}
    key = by_id.get(name.lower(), name)
    source = SOURCES.get(key)
    key = source.base if isinstance(source, Reference) else key
    if key in known:
        return known[key]
    config = Path(name).expanduser() / "config.json"
    if config.is_file():
        return shape_of(read_json(config), str(config.parent))
    raise unknown("sizes of", name, known, "; for another model, give a local folder with its config.json")


def shape_of(config: dict[str, Any], name: str) -> Shape:
    """The sizes that a transformers config (as a dictionary) states.

    Raises:
        WorkbenchError: a size is missing: not a decoder of these families.
    """
    inner = config.get("text_config")
    content = inner if isinstance(inner, dict) and inner else config
    check_sizes_of(content, f"the config of {name}")
    try:
        heads, hidden = content["num_attention_heads"], content["hidden_size"]
        experts = content.get("num_local_experts") or content.get("num_experts") or 0
        return Shape(
            name,
            content["num_hidden_layers"],
            hidden,
            heads,
            content.get("num_key_value_heads") or heads,
            content.get("head_dim") or hidden // heads,
            (content.get("moe_intermediate_size") if experts else None) or content["intermediate_size"],
            content["vocab_size"],
            bool(content.get("tie_word_embeddings", True)),
            f"config.json of {name}",
            experts,
            content.get("num_experts_per_tok") or 0 if experts else 0,
            content.get("shared_expert_intermediate_size") or 0 if experts else 0,
        )
    except KeyError as error:
        raise WorkbenchError(
            f"the config of {name} has no {error}: expected a Llama, Mistral, Qwen or Gemma decoder"
        ) from error


@cache
def _known() -> dict[str, Shape]:
    content = tomllib.loads((data_folder() / "models" / "shapes.toml").read_text())
    return {name: Shape(name, **sizes) for name, sizes in content.items()}
