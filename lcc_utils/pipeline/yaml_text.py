"""Read settings from YAML: numbers as YAML 1.2 has them, each key once, nothing but plain values.

PyYAML follows YAML 1.1, where 016 is 14, 1e-3 is a text, ``no`` is false and of two equal keys the
first is lost. Here PyYAML only finds the parts of the text; what they are is decided below.
"""

from __future__ import annotations

import copy
import math
import re
from typing import Any, NamedTuple

import yaml

from lcc_utils.errors import RequestError
from lcc_utils.pipeline.plain_values import MOST_CHARACTERS, MOST_DEPTH, MOST_VALUES

__all__ = ["read_yaml"]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 40
_MERGE = "<<"


class _Node(NamedTuple):
    """A value, how many values are in it, and how deeply they are nested."""

    value: Any
    size: int = 1
    depth: int = 1


def read_yaml(text: str, where: str) -> Any:
    """Return what a YAML text holds: dicts, lists, texts, finite numbers, booleans, None.

    Anchors, aliases and merge keys work. Keys are names, and stay as they are written.

    Parameters
    ----------
    text
        One YAML document.
    where
        What the text is, for messages.

    Raises
    ------
    RequestError
        If it is no YAML, a key stands twice, an alias refers to what holds it, a value has a tag
        such as ``!!binary`` or is no finite number, or the whole is too large or nested too
        deeply once aliases are replaced; with the line.
    """
    if len(text) > MOST_CHARACTERS:
        raise RequestError(f"{where} has {len(text):,} characters; {MOST_CHARACTERS:,} are read.")
    try:
        return _Reader(text, where).document()
    except (yaml.YAMLError, ValueError) as error:
        raise RequestError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error


class _Reader:
    """Build values from the events of PyYAML's parser, one after the other."""

    def __init__(self, text: str, where: str) -> None:
        self._events = yaml.parse(text, _LOADER)
        self._where = where
        self._anchors: dict[str, _Node] = {}
        self._open: set[str] = set()
        self._count = 0

    def document(self) -> Any:
        next(self._events)  # the start of the stream
        value, event = None, next(self._events)
        if isinstance(event, yaml.DocumentStartEvent):
            value = self._node(next(self._events), 1).value
            next(self._events)  # the end of the document
            event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._refused(event, "begins a second document; keep one")
        return value

    def _node(self, event: yaml.Event, level: int) -> _Node:
        """Return the value that begins with an event."""
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, level)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self._refused(event, f"has the tag {tag}; remove it, or put text in quotes")
        self._counted(event, 1, level)
        if event.anchor:
            self._open.add(event.anchor)
        if isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(level)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(level)
        else:
            node = _Node(self._scalar(event))
        if event.anchor:
            self._open.discard(event.anchor)
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent, level: int) -> _Node:
        if event.anchor in self._open:
            raise self._refused(event, f"refers to itself by *{event.anchor}")
        if event.anchor not in self._anchors:
            raise self._refused(event, f"refers to &{event.anchor}, which does not stand before it")
        node = self._anchors[event.anchor]
        self._counted(event, node.size, level + node.depth - 1)
        return node._replace(value=copy.deepcopy(node.value))

    def _sequence(self, level: int) -> _Node:
        nodes = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            nodes.append(self._node(event, level + 1))
        return _around([node.value for node in nodes], nodes)

    def _mapping(self, level: int) -> _Node:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        nodes: list[_Node] = []
        seen: set[str] = set()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            if key in seen:
                raise self._refused(event, f"has the key {key!r} a second time; keep one")
            seen.add(key)
            nodes.append(self._node(next(self._events), level + 1))
            if key == _MERGE and _is_plain(event):
                merged = self._merged(event, nodes[-1].value)
            else:
                own[key] = nodes[-1].value
        # Keys that are merged come first, and give way to those that are written.
        return _around({**merged, **own}, nodes)

    def _key(self, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or not event.value:
            raise self._refused(event, "has a key that is no name")
        if event.anchor:
            self._anchors[event.anchor] = _Node(event.value)
        return event.value

    def _merged(self, event: yaml.Event, value: Any) -> dict[str, Any]:
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise self._refused(event, "merges by << what holds no names and values")
        return {name: own for part in reversed(parts) for name, own in part.items()}

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text = event.value
        if not _is_plain(event):
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _NO_NUMBER.fullmatch(text):
            raise self._refused(event, f"holds {text}, which is no number; give a finite one")
        if not (_DECIMAL.fullmatch(text) or _OTHER_BASE.fullmatch(text)):
            return text
        if len(text) > _LONGEST_NUMBER:
            raise self._refused(event, f"holds a number of {len(text):,} characters")
        if _INTEGER.fullmatch(text):
            return int(text)
        if _OTHER_BASE.fullmatch(text):
            return int(text, 0)
        if not math.isfinite(value := float(text)):
            raise self._refused(event, f"holds {text}, which is too large; give a finite number")
        return value

    def _counted(self, event: yaml.Event, size: int, depth: int) -> None:
        self._count += size
        if self._count > MOST_VALUES:
            raise self._refused(event, f"makes more than {MOST_VALUES:,} values; write fewer")
        if depth > MOST_DEPTH:
            raise self._refused(event, f"is nested more than {MOST_DEPTH} deep; write it flatter")

    def _refused(self, event: yaml.Event, why: str) -> RequestError:
        return RequestError(f"{self._where}, line {event.start_mark.line + 1}, {why}.")


def _is_plain(event: yaml.ScalarEvent) -> bool:
    """Tell whether a scalar stands without quotes; styles differ between PyYAML's two parsers."""
    return event.implicit[0]


def _around(value: Any, nodes: list[_Node]) -> _Node:
    size = 1 + sum(node.size for node in nodes)
    return _Node(value, size, 1 + max((node.depth for node in nodes), default=0))
