"""Where in a transformers module a site is, for the families whose blocks this project knows.

One table for blocks with norms before attention and MLP (Llama, Mistral, Mixtral, Qwen, SmolLM3, Gemma 1), one for blocks
with norms around them (Gemma 2 and 3): which submodule's input or output is the site. The test suite holds each entry to the
bridge's hook of the same name.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from workbench.models.families import refuse_other_family
from workbench.steering.sites import Site

#: kind -> (submodule of the block, its input or output); "" is the block itself
PRE_NORM = {
    "resid_pre": ("", "input"),
    "resid_mid": ("post_attention_layernorm", "input"),
    "resid_post": ("", "output"),
    "attn_out": ("self_attn", "output"),
    "attn_raw": ("self_attn", "output"),
    "mlp_out": ("mlp", "output"),
    "mlp_raw": ("mlp", "output"),
    "q": ("self_attn.q_proj", "output"),
    "k": ("self_attn.k_proj", "output"),
    "v": ("self_attn.v_proj", "output"),
    "z": ("self_attn.o_proj", "input"),
}

#: the same with norms around attention and MLP (Gemma 2 and 3)
SANDWICH = PRE_NORM | {
    "resid_mid": ("pre_feedforward_layernorm", "input"),
    "attn_out": ("post_attention_layernorm", "output"),
    "mlp_out": ("post_feedforward_layernorm", "output"),
}


def blocks(hf: Any) -> Any:
    """The decoder blocks of a transformers causal language model.

    Raises WorkbenchError for a family whose blocks are not in the table.
    """
    refuse_other_family(hf.config.model_type, type(hf).__name__)
    return hf.get_decoder().layers


def _place(hf: Any, site: Site) -> tuple[Any, str]:
    block = blocks(hf)[site.layer]
    table = SANDWICH if hasattr(block, "pre_feedforward_layernorm") else PRE_NORM
    path, end = table[site.kind]
    return block.get_submodule(path), end


@contextmanager
def reading(hf: Any, site: Site, see: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Call ``see`` with the activations at a site, [batch, pos, width], on every forward pass inside."""
    module, end = _place(hf, site)
    if end == "input":
        handle = module.register_forward_pre_hook(lambda _, args, kwargs: see(_first(args, kwargs)), with_kwargs=True)
    else:
        handle = module.register_forward_hook(lambda _, __, output: see(_tensor(output)))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def writing(hf: Any, site: Site, delta: Callable[[torch.Tensor], torch.Tensor | None]) -> Iterator[None]:
    """Add ``delta(activations)`` at a site on every forward pass inside; None leaves them untouched, bit for bit."""

    def edit(x: torch.Tensor, before: torch.Tensor | None = None) -> torch.Tensor | None:
        change = delta(x if before is None else before + x)
        return None if change is None else x + change

    with _editing(hf, site, edit):
        yield


@contextmanager
def replacing(hf: Any, site: Site, values: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Put ``values(activations)`` in the place of the activations at a site on every forward pass inside, to the last bit.

    Adding ``values - activations`` would round twice, and the values would stand there to an ulp. At ``resid_mid`` they do: no
    module has that stream as its output, so that it is moved through what attention adds to it.
    """

    def edit(x: torch.Tensor, before: torch.Tensor | None = None) -> torch.Tensor:
        return values(x) if before is None else values(before + x) - before

    with _editing(hf, site, edit):
        yield


@contextmanager
def _editing(hf: Any, site: Site, edit: Callable[..., torch.Tensor | None]) -> Iterator[None]:
    """Put ``edit(x)`` in the place of what the site's module takes or gives; None leaves it. At ``resid_mid`` it is what attention
    adds, and ``edit`` is given the stream before it too.
    """
    with ExitStack() as hooks:
        if site.kind == "resid_mid":
            _write_resid_mid(hf, site, edit, hooks)
        else:
            module, end = _place(hf, site)
            handle = _write_input(module, edit) if end == "input" else _write_output(module, edit)
            hooks.callback(handle.remove)
        yield


def _write_output(module: Any, edit: Callable[[torch.Tensor], torch.Tensor | None]) -> Any:
    def hook(_: Any, __: Any, output: Any) -> Any:
        edited = edit(_tensor(output))
        return None if edited is None else _replaced(output, edited)

    return module.register_forward_hook(hook)


def _write_input(module: Any, edit: Callable[[torch.Tensor], torch.Tensor | None]) -> Any:
    def hook(_: Any, args: tuple, kwargs: dict) -> Any:
        edited = edit(_first(args, kwargs))
        if edited is None:
            return None
        if args:
            return (edited, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": edited}

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def _write_resid_mid(hf: Any, site: Site, edit: Callable[..., torch.Tensor | None], hooks: ExitStack) -> None:
    """The stream after attention also by-passes the MLP, so it is moved through what attention adds to it."""
    before: list[torch.Tensor] = []

    def remember(_: Any, args: tuple, kwargs: dict) -> None:
        before[:] = [_first(args, kwargs)]

    handle = blocks(hf)[site.layer].register_forward_pre_hook(remember, with_kwargs=True)
    hooks.callback(handle.remove)
    module, _ = _place(hf, Site(site.layer, "attn_out"))
    hooks.callback(_write_output(module, lambda added: edit(added, before[0])).remove)


def _first(args: tuple, kwargs: dict) -> torch.Tensor:
    return args[0] if args else kwargs["hidden_states"]


def _tensor(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


def _replaced(output: Any, tensor: torch.Tensor) -> Any:
    return (tensor, *output[1:]) if isinstance(output, tuple) else tensor
