"""HTML of our own or of a library, that a notebook shows and ``save`` writes as a page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Markup:
    """A piece of HTML that is complete in itself, and its title; every text in it is escaped by whoever makes it."""

    title: str
    body: str

    def _repr_html_(self) -> str:
        return self.body

    def __str__(self) -> str:
        return self.body
