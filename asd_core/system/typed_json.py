"""Dataclasses to JSON values and back, checked by their annotations, so that no second list of types is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints


class DataclassInstance(Protocol):
    """A value of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T", bound="DataclassInstance")
_SCALARS = (int, float, str, bool)


def to_json(value: DataclassInstance) -> dict[str, Any]:
    """Write a dataclass as JSON values, a key for each field; a dataclass inside by its own `to_json` if it has one."""
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def from_json(kind: type[T], content: object) -> T:
    """Read what `to_json` gave; a field with a default may be missing, as files of earlier versions lack it.

    A field that is a dataclass is read by its own `from_json` where it has one.

    Raises
    ------
    ValueError
        Other keys or types than the dataclass has; `Any` stands for a number, a text or a truth value.
    """
    hints = _hints(kind)
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
    if not isinstance(content, dict) or not needed <= set(content) <= set(hints):
        raise ValueError(f"it must hold exactly {', '.join(hints)}")
    return kind(**{name: _read(name, hints[name], value) for name, value in content.items()})


@cache
def _hints(kind: type[DataclassInstance]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        own = getattr(value, "to_json", None)
        return to_json(value) if own is None else own()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value


def _read(name: str, hint: Any, value: object) -> object:
    """Read one value by its annotation."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _read_any(name, hint, value)
    if origin is Literal:
        fits = any(type(value) is type(allowed) and value == allowed for allowed in get_args(hint))
    elif origin in (tuple, Sequence):
        return _read_list(name, hint, value)
    elif origin is Mapping:
        return _read_mapping(name, hint, value)
    elif is_dataclass(hint):
        return _read_dataclass(name, hint, value)
    else:
        fits = type(value) in _types(hint)
    if not fits:
        raise ValueError(f"{name} must be {_words(hint)}")
    return Path(str(value)) if hint is Path else value


def _types(hint: Any) -> tuple[type, ...]:
    if hint is Any:
        return _SCALARS
    return {Path: (str,), float: (int, float)}.get(hint, (hint,))


def _read_any(name: str, hint: Any, value: object) -> object:
    """Read by the first member of a union that takes the value."""
    if value is None and NoneType in get_args(hint):
        return None
    refusals = []
    for member in get_args(hint):
        try:
            return _read(name, member, value)
        except ValueError as error:
            refusals.append((member, error))
    inner = [error for member, error in refusals if _is_container_of(member, value)]
    raise inner[0] if inner else ValueError(f"{name} must be {_words(hint)}")


def _is_container_of(hint: Any, value: object) -> bool:
    """Whether the container itself fits, so that the fault is one of its entries."""
    origin = get_origin(hint)
    is_table = origin is Mapping or is_dataclass(hint)
    return (is_table and isinstance(value, dict)) or (origin in (tuple, Sequence) and isinstance(value, list))


def _read_list(name: str, hint: Any, value: object) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be {_words(hint)}")
    return tuple(_read(f"each of {name}", get_args(hint)[0], each) for each in value)


def _read_mapping(name: str, hint: Any, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be {_words(hint)}")
    return {key: _read(f"{name}: {key!r}", get_args(hint)[1], each) for key, each in value.items()}


def _read_dataclass(name: str, hint: Any, value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be {_words(hint)}")
    try:
        own = getattr(hint, "from_json", None)
        return from_json(hint, value) if own is None else own(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _words(hint: Any) -> str:
    """Name the allowed types for people."""
    origin = get_origin(hint)
    if origin in (Union, UnionType, Literal):
        return " or ".join(_words(member) for member in get_args(hint))
    if origin is not None:
        return "list" if origin in (tuple, Sequence) else "dict"
    if is_dataclass(hint):
        return "dict"
    if hint is Any:
        return "a number or a text"
    if not isinstance(hint, type):
        return repr(hint)
    return {NoneType: "null", Path: "str"}.get(hint, hint.__name__)
