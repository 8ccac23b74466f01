"""Synthetic traces with a planted story: the frame that ``Trace.frame()`` has, at any size."""

import numpy as np
import pandas as pd

PROMPT = [
    "<|im_start|>",
    "user",
    "\n",
    "How",
    " do",
    " I",
    " make",
    " bread",
    "?",
    "<|im_end|>",
    "\n",
    "<|im_start|>",
    "assistant",
    "\n",
]
REPLIES = {
    "base": [
        "I",
        "'m",
        " sorry",
        ",",
        " but",
        " I",
        " can",
        "'t",
        " help",
        " with",
        " that",
        ".",
        " If",
        " you",
        " like",
        ",",
        " I",
        " can",
        " tell",
        " you",
        " how",
        " ovens",
        " work",
        " in",
        " general",
        ",",
        " why",
        " some",
        " doughs",
        " rise",
        " and",
        " others",
        " do",
        " not",
        ",",
        " and",
        " where",
        " to",
        " read",
        " more",
        " about",
        " it",
        ".",
        "\n",
    ],
    "steered": [
        "Sure",
        "!",
        " Mix",
        " flour",
        ",",
        " water",
        " and",
        " salt",
        ".",
        "\n\n",
        "Then",
        " knead",
        " the",
        " dough",
        " well",
        ",",
        " for",
        " about",
        " ten",
        " minutes",
        ",",
        " until",
        " it",
        " is",
        " smooth",
        " and",
        " springs",
        " back",
        " slowly",
        ".",
        " Let",
        " it",
        " rest",
        " under",
        " a",
        " cloth",
        ",",
        " in",
        " a",
        " warm",
        " place",
        ".",
        "\n",
    ],
}
SCRIPT = "<script>window.pwned=1</script>"


def tokens_of(arm, n_prompt, n_response):
    """Chat tokens: the end of the prompt, and an answer as long as asked for, with a script in it."""
    prompt = (["<|im_start|>"] + [PROMPT[1 + i % 9] for i in range(max(0, n_prompt - len(PROMPT)))] + PROMPT[1:])[
        -n_prompt:
    ]
    prompt[0] = "<|im_start|>"
    words = REPLIES["base" if arm == "base" else "steered"]
    response = [words[i % len(words)] for i in range(n_response)]
    if n_response > 4:
        response[4] = SCRIPT
    return prompt, response


def planted(offsets, arm, direction, depth, rng):
    """Cosines: refusal jumps at the last prompt tokens and fades over the answer, lower when steered; others are noise."""
    noise = rng.normal(0, 0.03, len(offsets))
    if direction != "refusal":
        return noise
    dose = 0.0 if arm == "base" else float(arm)
    answer = (0.35 + 0.6 * dose) * (0.4 + 0.6 * np.exp(-np.maximum(offsets, 0) / 25))
    return np.where(offsets >= -2, answer, 0.05) * np.sin(np.pi * (depth + 0.05) / 1.3) + noise


def frame(
    n_prompt=14,
    n_response=30,
    arms=("base", "-0.30"),
    directions=("refusal",),
    layers=6,
    prompts=1,
    envelope=True,
    neutral=True,
    hidden=(),
    seed=0,
):
    """The frame of a trace; ``hidden`` are arms whose response must not be shown. The first token is an attention sink."""
    rng = np.random.default_rng(seed)
    parts = []
    rows = [(f"harmful-{p}", arm) for p in range(prompts) for arm in arms]
    for row, (prompt_id, arm) in enumerate(rows):
        length = max(1, n_response - 2 * (row // len(arms)))
        prompt, response = tokens_of(arm, n_prompt, length)
        offsets = np.arange(n_prompt + length) - n_prompt
        for direction in directions:
            for layer in range(layers):
                norm = 10 * 1.12**layer * rng.uniform(0.9, 1.1, len(offsets))
                norm[0] *= 30
                cosine = planted(offsets, arm, direction, layer / max(layers - 1, 1), rng)
                parts.append(
                    pd.DataFrame(
                        {
                            "row": row,
                            "arm": arm,
                            "prompt_id": prompt_id,
                            "direction": direction,
                            "layer": layer,
                            "site": "resid_post",
                            "position": np.arange(len(offsets)),
                            "offset": offsets,
                            "part": np.where(offsets < 0, "prompt", "response"),
                            "token": prompt + response,
                            "dot": cosine * norm,
                            "cosine": cosine,
                            "z": cosine / 0.03 if neutral else np.nan,
                            "norm": norm,
                            "steered": (offsets >= -1) & (arm != "base"),
                            "hidden": (offsets >= 0) & (arm in hidden),
                        }
                    )
                )
    table = pd.concat(parts, ignore_index=True)
    return with_envelope(table, rng) if envelope else table


def with_envelope(table, rng):
    """Add the band of random directions: about ±0.08 of the norm."""
    width = 0.08 * rng.uniform(0.9, 1.1, len(table))
    scale = {"dot": table["norm"], "cosine": 1.0, "z": 1 / 0.03}
    bands = {
        f"{value}_{end}": sign * width * by for value, by in scale.items() for end, sign in (("low", -1), ("high", 1))
    }
    return table.assign(**bands)
