"""What a user is told: the one exception of the workbench, and "did you mean …?".

=========================================================  ==================================
question                                                   which file answers
=========================================================  ==================================
what a message may hold: no secret, no control character   ``redaction``
which argument of a failed call is wrong                   ``arguments``
how far a long step is                                     ``progress``
=========================================================  ==================================
"""

import os
import traceback
from collections.abc import Iterable
from difflib import get_close_matches

from workbench._errors.redaction import redact, show_controls


class WorkbenchError(ValueError):
    """A mistake that the caller can correct. It is raised before any compute is spent.

    The command line prints its message alone, without a traceback. The message holds no secret and no control character.
    """

    def __init__(self, *message: object):
        super().__init__(*(show_controls(redact(str(part))) for part in message))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: the line that the user wrote, and the message. IPython looks for this name."""
        package = os.path.dirname(os.path.dirname(__file__)) + os.sep
        frames = traceback.extract_tb(self.__traceback__)
        yours = [
            f for f in frames if f.line and not f.filename.startswith(package) and "site-packages" not in f.filename
        ]
        where = [f"line {frame.lineno}: {redact(frame.line or '')}" for frame in yours[-1:]]
        return [*where, f"{type(self).__name__}: {self}"]


def unknown(what: str, seen: object, known: Iterable[str], more: str = "") -> WorkbenchError:
    """The error for a name that nobody knows: what was seen, the name it is close to, and the names there are.

    Args:
        what: the kind of thing, e.g. "model".
        seen: what was typed.
        known: the names there are.
        more: what else may be typed, appended to the message.

    >>> print(unknown("trait", "refusals", ["refusal", "optimism"]))
    unknown trait 'refusals'; did you mean 'refusal'? There are refusal, optimism
    """
    names = list(known)
    near = get_close_matches(str(seen), names, n=1)
    hint = f"did you mean {near[0]!r}? There" if near else "there"
    return WorkbenchError(f"unknown {what} {seen!r}; {hint} are {', '.join(names) or 'none'}{more}")


def check_flag(value: object, name: str) -> bool:
    """An argument that shows or hides. Raises WorkbenchError for anything but True and False: the text "no" would be true."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise WorkbenchError(f"{name}={value!r:.60}: expected True or False")
    return bool(value)
