"""A slip in an argument is one line, whatever function it is given to.

Functions check what they can say something useful about. Anything else that is wrong with an argument makes Python raise an
error somewhere inside. ``explained`` wraps what a package offers: when a call fails, its arguments are held against their
annotations, and the first that does not fit is named. A call that succeeds costs nothing and is not looked at. An error
that no argument explains stays what it is: a fault of ours.
"""

import inspect
import sys
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache, update_wrapper
from importlib import import_module
from itertools import islice
from numbers import Integral, Real
from pathlib import Path
from types import FunctionType, ModuleType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from workbench._errors import WorkbenchError

_Offered = TypeVar("_Offered")

#: what annotations name and modules import where it is used
_LATER = {"pd": "pandas", "go": "plotly.graph_objects"}

#: how many items of a list are looked at
_LOOKED_AT = 100


def explaining(attached: Callable[[str], Any], package: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package, by which everything it offers is ``explained``.

    >>> wb.cosines(5)
    Traceback (most recent call last):
        ...
    workbench._errors.WorkbenchError: cosines(): directions=5: expected Mapping[str, Direction | Directions]
    """

    def offer(name: str) -> Any:
        offered = explained(attached(name), package)
        setattr(sys.modules[package], name, offered)  # where lazy_loader keeps what it found
        return offered

    return offer


def explained(offered: _Offered, package: str) -> _Offered:
    """A function whose failures name the argument that does not fit; a class or a module with such functions; else as it is."""
    if isinstance(offered, ModuleType) and not hasattr(offered, "__path__"):  # a package has a __getattr__ of its own
        _inside(offered)
    elif isinstance(offered, type):
        _methods(offered)
    elif isinstance(offered, FunctionType) and offered.__module__.startswith("workbench."):
        return _function(offered, package)  # type: ignore[return-value]
    else:
        _methods(type(offered))  # type: ignore[arg-type]
    return offered


@cache
def _function(function: FunctionType, package: str) -> Callable:
    """The same wrapper each time; pickle finds it where the user found it."""
    wrapped = _wrapped(function)
    wrapped.__module__ = package
    return wrapped


@cache
def _inside(module: ModuleType) -> None:
    """Wrap what is defined in a module, once, where it is."""
    for name, held in list(vars(module).items()):
        if getattr(held, "__module__", "") == module.__name__ and not name.startswith("_"):
            if isinstance(held, FunctionType):
                setattr(module, name, _wrapped(held))
            elif isinstance(held, type):
                _methods(held)


@cache
def _methods(kind: type) -> None:
    """Wrap the methods of a class of ours, once, where they are."""
    if not kind.__module__.startswith("workbench.") or issubclass(kind, Exception):
        return
    for name, held in list(vars(kind).items()):
        method = held.__func__ if isinstance(held, classmethod) else held
        if isinstance(method, FunctionType) and (name == "__init__" or not name.startswith("_")):
            wrapped = _wrapped(method)
            setattr(kind, name, classmethod(wrapped) if isinstance(held, classmethod) else wrapped)


def _wrapped(function: FunctionType) -> FunctionType:
    known, explain = WorkbenchError, find_slip
    methods: Callable[[Any], None] = _methods

    def call(*given: Any, **named: Any) -> Any:
        try:
            result = function(*given, **named)
        except known:
            raise
        except Exception as error:
            slip = explain(function, given, named, error)
            if slip is None:
                raise
            raise slip from error
        methods(type(result))
        return result

    # of the module that it is from: doctest looks for examples of a module's own functions alone
    made = FunctionType(call.__code__, function.__globals__, function.__name__, None, call.__closure__)
    return update_wrapper(made, function)  # type: ignore[return-value]


def find_slip(
    function: FunctionType, given: Sequence[Any], named: Mapping[str, Any], error: Exception | None = None
) -> WorkbenchError | None:
    """The first argument of a call that explains why it failed, as an error; None where none does.

    That is a name close to one that the function has, an argument that does not fit its annotation, a frame without a column that
    was looked for, or a path that the system refused.
    """
    signature = inspect.signature(function)
    called = function.__qualname__.removesuffix(".__init__")
    try:
        bound = signature.bind(*given, **named)
    except TypeError:  # one too many, or one that is missing: Python says so itself
        return _misspelt(called, signature, named)
    for name, value in bound.arguments.items():
        parameter = signature.parameters[name]
        hint = _hint(function, parameter.annotation)
        if parameter.kind is parameter.VAR_POSITIONAL:
            hint = Collection[hint]  # type: ignore[valid-type]
        elif parameter.kind is parameter.VAR_KEYWORD:
            hint = Mapping[str, hint]  # type: ignore[valid-type]
        if value is not parameter.default and not fits(value, hint):
            return WorkbenchError(f"{called}(): {name}={_shown(value)}: expected {_said(hint)}")
    for name, value in bound.arguments.items():
        if isinstance(error, KeyError) and hasattr(value, "columns") and str(error.args[0]) not in value.columns:
            there = ", ".join(map(str, value.columns[:20]))
            return WorkbenchError(f"{called}(): {name} lacks a column that is read: {error.args[0]}; it has {there}")
        if isinstance(error, OSError) and error.filename and isinstance(value, str | Path):
            seen, path = str(error.filename), str(value)
            if path and (seen.startswith(path) or path.startswith(seen)):
                return WorkbenchError(f"{called}(): {name}={_shown(path)}: {error.strerror}: {seen}")
    return None


def _misspelt(called: str, signature: inspect.Signature, named: Mapping[str, Any]) -> WorkbenchError | None:
    """An argument by a name that the function does not have, where it has one like it."""
    free = [name for name in signature.parameters if name not in named and name != "self"]
    for name in named:
        near = [] if name in signature.parameters else get_close_matches(name, free, n=1, cutoff=0.75)
        if near:
            return WorkbenchError(f"{called}() has no argument {name}=; did you mean {near[0]}=?")
    return None


def _hint(function: FunctionType, annotation: object) -> Any:
    """What an annotation means; Any where it cannot be told."""
    if annotation is inspect.Parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    later = {name: import_module(module) for name, module in _LATER.items() if f"{name}." in annotation}
    try:
        return eval(annotation, later | function.__globals__)  # our own source, as Python reads it
    except Exception:
        return Any


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the kind that an annotation says, as far as that can be told.

    >>> fits(3, float), fits(True, float), fits("a", Sequence[str]), fits(["a"], Sequence[str]), fits(None, str | None)
    (True, False, False, True, True)
    """
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(hint, str | TypeVar | typing.ForwardRef):
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if hint in (float, int):
        return isinstance(value, Real if hint is float else Integral) and not isinstance(value, bool)
    if hint is bool:
        return type(value).__name__ in ("bool", "bool_")
    kind = origin or hint
    if not isinstance(kind, type):
        return True
    if kind in (Callable, type(Callable)):
        return callable(value)
    if issubclass(kind, Iterable) and kind is not str and isinstance(value, str):
        return kind is not Mapping and str in inner and kind is Iterable
    if getattr(kind, "_is_protocol", False):
        return all(
            hasattr(value, name) for name in (*vars(kind).get("__annotations__", ()), *vars(kind)) if name[0] != "_"
        )
    try:
        if not isinstance(value, kind) and not (kind in _LISTS and _is_array(value)):
            return False
    except TypeError:  # not a kind that can be asked
        return True
    if not inner or _is_array(value):
        return True
    if issubclass(kind, Mapping):
        return all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in islice(value.items(), _LOOKED_AT))
    if kind is tuple and Ellipsis not in inner:
        return len(value) == len(inner) and all(map(fits, value, inner))
    if kind in _LISTS or kind is tuple:
        return (
            all(fits(item, inner[0]) for item in islice(value, _LOOKED_AT)) if isinstance(value, Collection) else True
        )
    return True


#: where an array, or a column of a frame, will do
_LISTS = (Sequence, Collection, Iterable, list)


def _is_array(value: object) -> bool:
    """Whether a value is an array of numpy, a tensor of torch or a column of pandas."""
    return type(value).__module__.split(".")[0] in ("numpy", "torch", "pandas") and getattr(value, "ndim", 0) == 1


def _shown(value: object) -> str:
    if isinstance(value, type | FunctionType | ModuleType):
        return getattr(value, "__name__", "?")
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _said(hint: Any) -> str:
    """An annotation as it would be typed, without the modules that its names are from."""
    if isinstance(hint, type) and get_origin(hint) is None:
        return hint.__name__
    inner, origin = get_args(hint), get_origin(hint)
    if origin in (Union, UnionType):
        return " | ".join("None" if one is type(None) else _said(one) for one in inner)
    if origin is Literal:
        return " or ".join(map(repr, inner))
    name = getattr(hint, "__name__", str(hint).split(".")[-1])
    listed = ", ".join("..." if one is Ellipsis else _said(one) for one in inner if not isinstance(one, list))
    return f"{name}[{listed}]" if listed and origin is not Callable and "Callable" not in name else name
