"""Gives YAML text its types, field by field, with one error and one line number for each wrong field.

A dataclass is the schema. The types of its fields decide, `Meta(description=…)` describes the allowed values,
`Meta(min_length=1)` forbids an empty list, and its `extra` may hold a function `suggest`. A field is a scalar, a tuple
of scalars, or either.
"""

from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from datetime import timedelta
from enum import EnumType
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from collector.base import duration
from collector.base.yaml_text import Mapping, Node, Scalar, Sequence, describe, quote
from collector.config.errors import ConfigErrors, nearest

T = TypeVar("T")

_WHERE_SECRETS_GO = "KIWOOM_APP_KEY_FILE, KIWOOM_SECRET_KEY_FILE and DATABASE_URL_FILE name theirs"
_SECRETS = ("key", "secret", "password", "token", "database_url")


def decode(kind: type[T], node: Node, where: str, errors: ConfigErrors) -> T | None:
    """Decode a mapping into a dataclass; None, with errors added, if a value is wrong."""
    before = len(errors)
    hints = get_type_hints(kind, include_extras=True)
    given = keys(node, where, errors, allowed=hints)
    if len(errors) > before and not given.entries:
        return None
    for name in _required_fields(kind):
        if name not in given.entries:
            errors.add(
                node.line, f"{where}: the key {name} is missing; set it to {_describe_allowed(hints[name])}"
            )
    values = {
        name: value(hints[name], entry, f"{where}.{name}", errors)
        for name, entry in given.entries.items()
        if name in hints
    }
    return kind(**values) if len(errors) == before else None


def keys(node: Node, where: str, errors: ConfigErrors, *, allowed: Iterable[str] | None = None) -> Mapping:
    """Return the node as a mapping: an empty one for an absent value and (with an error) for a list or a scalar.

    With `allowed`, every other key adds an error.
    """
    if isinstance(node, Scalar) and not node.text:
        return Mapping(node.line)
    if not isinstance(node, Mapping):
        errors.add(node.line, f"{where} is {describe(node)}; use a mapping (`key: value` lines)")
        return Mapping(node.line)
    if allowed is not None:
        known = list(allowed)
        for name in node.entries.keys() - known:
            text = f"{where}: unknown key {quote(name)}; use one of: {', '.join(known)}{_advice(name, known)}"
            errors.add(node.lines[name], text)
    return node


def value(hint: Any, node: Node, where: str, errors: ConfigErrors) -> Any:
    """Decode one value as its type; None, with an error added, if it does not fit."""
    for shape in _shapes(hint):
        if isinstance(node, Sequence) and _is_list(shape):
            return _items(shape, node, where, errors)
        if isinstance(node, Scalar) and not _is_list(shape):
            return _scalar(shape, node, where, errors, allowed=_describe_allowed(hint))
    return errors.add(node.line, f"{where} is {describe(node)}; use {_describe_allowed(hint)}")


def _advice(name: str, known: Iterable[str]) -> str:
    if any(word in name.casefold() for word in _SECRETS):
        return f"; secrets stay out of this file: {_WHERE_SECRETS_GO}"
    return nearest(name, known)


def _required_fields(kind: type[Any]) -> list[str]:
    def has_none(spec: Field[Any]) -> bool:
        return spec.default is MISSING and spec.default_factory is MISSING

    return [spec.name for spec in fields(kind) if has_none(spec)]


def _items(hint: Any, node: Sequence, where: str, errors: ConfigErrors) -> tuple[Any, ...]:
    if not node.items and any(meta.min_length for meta in _metas(hint)):
        errors.add(node.line, f"{where} is an empty list; use {_describe_allowed(hint)}")
    of = get_args(_bare(hint))[0]
    return tuple(value(of, item, f"{where}[{n}]", errors) for n, item in enumerate(node.items))


def _scalar(hint: Any, node: Scalar, where: str, errors: ConfigErrors, *, allowed: str) -> Any:
    try:
        if _bare(hint) is timedelta:
            return duration.parse(node.text)
        return msgspec.convert(node.text, hint, strict=False)
    except ValueError:  # msgspec.ValidationError is a ValueError
        message = f"{where} is {describe(node)}; use {allowed}{_suggest(node.text, hint)}"
        return errors.add(node.line, message)


def _suggest(text: str, hint: Any) -> str:
    """The probable value: of the field's own function `suggest`, or the nearest choice."""
    for meta in _metas(hint):
        if suggest := (meta.extra or {}).get("suggest"):
            return str(suggest(text))
    return nearest(text, _choices(hint))


def _shapes(hint: Any) -> list[Any]:
    """Return the possible types of a value without None: None stands for an absent key."""
    if get_origin(hint) not in (Union, UnionType):
        return [hint]
    return [shape for shape in get_args(hint) if shape is not NoneType]


def _bare(hint: Any) -> Any:
    return hint.__origin__ if get_origin(hint) is Annotated else hint


def _metas(hint: Any) -> list[msgspec.Meta]:
    return [meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]


def _is_list(hint: Any) -> bool:
    return get_origin(_bare(hint)) is tuple


def _choices(hint: Any) -> tuple[str, ...]:
    if isinstance(hint, EnumType):
        return tuple(hint.__members__)
    return get_args(hint) if get_origin(hint) is Literal else ()


def _describe_allowed(hint: Any) -> str:
    """Describe the values that a field accepts."""
    if len(shapes := _shapes(hint)) > 1:
        return " or ".join(_describe_allowed(shape) for shape in shapes)
    (shape,) = shapes
    if descriptions := [meta.description for meta in _metas(shape) if meta.description]:
        return descriptions[0]
    if _is_list(shape):
        return f"a list, each item {_describe_allowed(get_args(_bare(shape))[0])}"
    if _bare(shape) is timedelta:
        return duration.ALLOWED
    choices = _choices(shape)
    return f"one of {', '.join(choices)}" if len(choices) > 1 else "".join(choices) or "a text"
