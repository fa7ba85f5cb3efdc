"""Reads a YAML document as plain data, with the line of each part.

Scalars are read by YAML 1.2's core schema, as editors do: 1e-3 is a number, `no` is text and dates are text. Files come
from outside, so size and depth are bounded, no tag makes an object, and aliases, which let a short file grow without
bound, are refused.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from .errors import FieldError, InvalidSpec

MAXIMUM_BYTES = 1 << 20
MAXIMUM_DEPTH = 32

Location = tuple[str | int, ...]
"""Keys and indices from the document down to a part of it."""


def path_of(location: Sequence[str | int]) -> str:
    """Format a location for people: `network.layers[1].dense.units`."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


@dataclass(slots=True)
class Document:
    """The content of a document.

    Attributes:
        data: dicts with text as keys, lists, and scalars.
        lines: the line of each part, from 1, by its path.
        errors: keys that appear twice.
    """

    data: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    errors: list[FieldError] = field(default_factory=list)

    def line(self, path: str) -> int | None:
        """The line of a part, or of the innermost existing part around it."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path)


def parse(text: str) -> Document:
    """Read one YAML document.

    Raises:
        InvalidSpec: the text is not YAML, or contains a tag, an alias or nesting that is refused.
    """
    if len(text.encode()) > MAXIMUM_BYTES:
        raise InvalidSpec([FieldError("", f"is larger than {MAXIMUM_BYTES >> 20} MiB")])
    document = Document()
    try:
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise InvalidSpec([_not_yaml(problem, error.problem_mark.line + 1 if error.problem_mark else None)]) from None
    except yaml.reader.ReaderError as error:
        raise InvalidSpec([_not_yaml(error.reason, text.count("\n", 0, error.position) + 1)]) from None
    if node is not None:
        document.lines[""] = node.start_mark.line + 1
        document.data = _Walk(document).value(node, ())
    return document


def _not_yaml(problem: str, line: int | None) -> FieldError:
    return FieldError("", f"is not YAML that can be read here: {problem}", line)


class _Loader(yaml.SafeLoader):
    """Composes nodes; never constructs objects."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (PyYAML's own protocol)
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = cast("yaml.error.Mark", event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem=f"alias *{event.anchor}, write it out", problem_mark=mark)
        if self.depth >= MAXIMUM_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:[Tt]rue|TRUE|[Ff]alse|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)$"),
    list("-+.0123456789"),
)


def _number(text: str) -> int | float:
    # No field takes an integer of a hundred digits, and Python refuses to parse thousands of digits.
    return int(text) if len(text) < 100 else math.inf


_SCALARS: dict[str, Callable[[str], str | int | float | bool | None]] = {
    "tag:yaml.org,2002:null": lambda _: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": _number,
    "tag:yaml.org,2002:float": lambda text: float(text.replace(".inf", "inf").replace(".nan", "nan")),
    "tag:yaml.org,2002:str": str,
}


class _Walk:
    """Converts nodes to plain data, and records lines and keys that appear twice."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def value(self, node: yaml.Node, location: Location) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self._part(item, item, (*location, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self._mapping(node, location)
        raise InvalidSpec([_tag_refused(node)])

    def _part(self, place: yaml.Node, node: yaml.Node, location: Location) -> Any:
        self._document.lines[path_of(location)] = place.start_mark.line + 1
        return self.value(node, location)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise InvalidSpec([FieldError(path_of(location), "a key is text, not a list or a mapping", line)])
            key: str = key_node.value
            path = path_of((*location, key))
            if key in result:
                first = self._document.lines[path]
                self._document.errors.append(FieldError(path, f"is given twice, first on line {first}", line))
            result[key] = self._part(key_node, value_node, (*location, key))
        return result

    def _scalar(self, node: yaml.ScalarNode) -> str | int | float | bool | None:
        read = _SCALARS.get(node.tag)
        if read is None:
            raise InvalidSpec([_tag_refused(node)])
        try:
            return read(node.value)
        except ValueError:  # an explicit tag that does not fit its text, as in `!!int x`
            raise InvalidSpec([_tag_refused(node)]) from None


def _tag_refused(node: yaml.Node) -> FieldError:
    return FieldError("", f"the tag {node.tag} is refused: leave it out", node.start_mark.line + 1)
