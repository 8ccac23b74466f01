"""Is a fluent response off topic?"""

from collections.abc import Sequence

from workbench.scoring.relevance import likeness

_LEAST = 0.2


def off_topic(prompts: Sequence[str], answers: Sequence[str]) -> list[bool]:
    """Whether each answer, which is neither a refusal nor broken down, leaves its prompt alone."""
    return [value < _LEAST for value in likeness(prompts, answers)] if answers else []
