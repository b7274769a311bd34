"""YAML as plain values, with the line every value came from. The one reader behind all YAML of the user's:
configuration files and the catalogue.yaml of asset folders.

YAML 1.2 rules: `4e-5` is a float, `yes` is a string, and every key is text. Tags, anchors and aliases are
refused (a tag can ask for code to be run, an alias can grow a small file into gigabytes), and so are a key
that stands twice in one mapping and texts above a limit (`pairbridge.datagen.core.limits`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.limits import MAX_YAML_BYTES, MAX_YAML_DEPTH

Place = tuple[str | int, ...]  # keys and list indices from the top of a file to a value

_TYPED = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: `text` for messages, `folder` for the relative paths in it."""

    text: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text: `value` is made of dict, list, str, int, float, bool and None."""

    value: Any
    origins: dict[Place, Origin]

    def origin(self, place: Place) -> Origin:
        """Of the value at `place`, or of the nearest thing around it that was written down."""
        while place not in self.origins:
            place = place[:-1]
        return self.origins[place]


def read_document(path: Path) -> Document:
    """Parse one file. Raises ConfigError, with file and line, on anything that is not plain YAML."""
    try:
        with open(path, "rb") as stream:
            text = _text(stream.read(MAX_YAML_BYTES + 1))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}",
            consequence="there is nothing to run",
            remedy="name an existing file in UTF-8",
        ) from error
    return parse(text, name=str(path), folder=path.resolve().parent)


def parse(text: str, *, name: str, folder: Path, with_lines: bool = True) -> Document:
    """Parse `text`; `name` says where it stands in messages, `folder` is what its relative paths start
    from.
    """

    def at(mark: Any) -> str:
        return f"{name}, line {mark.line + 1}" if with_lines else name

    origins: dict[Place, Origin] = {(): Origin(name, folder)}
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _PlainComposer
    yaml.max_depth = MAX_YAML_DEPTH
    try:
        node = yaml.compose(text)
        value = None if node is None else _build(node, (), origins, at, folder, yaml.constructor)
    except _NotPlain as error:
        raise _refused(at(error.problem_mark), error.problem) from error
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = error.problem if isinstance(error, MarkedYAMLError) else str(error)
        raise ConfigError(
            f"{at(mark) if mark else name}: not valid YAML: {why}",
            consequence="nothing was read from it",
            remedy="correct the line; indentation is by spaces, and a text with a colon needs quotes",
        ) from error
    return Document(value, origins)


class _NotPlain(MarkedYAMLError):
    """What YAML has beyond plain data; `problem` names it."""


class _PlainComposer(Composer):
    """Refuses tags, anchors and aliases where they stand, before anything is made of them."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        for what in ("tag", "anchor"):
            mark = getattr(event, what, None)
            if mark is not None:
                raise _NotPlain(problem=f"{what} {str(mark)!r}", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


def _text(data: bytes) -> str:
    if len(data) > MAX_YAML_BYTES:
        raise ValueError(f"it has more than {MAX_YAML_BYTES} bytes")
    return data.decode("utf-8")


def _build(
    node: Node, place: Place, origins: dict[Place, Origin], at: Any, folder: Path, scalars: Any
) -> Any:
    if place:
        origins[place] = Origin(at(node.start_mark), folder)
    if isinstance(node, ScalarNode):
        # Whatever else looks special to YAML, such as a date, is text here.
        return scalars.construct_object(node) if str(node.tag) in _TYPED else node.value
    if not isinstance(node, MappingNode):
        return [
            _build(child, (*place, index), origins, at, folder, scalars)
            for index, child in enumerate(node.value)
        ]
    mapping: dict[str, Any] = {}
    for key_node, child in node.value:
        key = key_node.value
        if not isinstance(key_node, ScalarNode) or key in mapping:
            what = (
                f"the key {key!r} for a second time"
                if isinstance(key_node, ScalarNode)
                else "a key that is no text"
            )
            raise _refused(at(key_node.start_mark), what)
        mapping[key] = _build(child, (*place, key), origins, at, folder, scalars)
        # A message about an entry points at its key: a value may begin lines below.
        origins[(*place, key)] = Origin(at(key_node.start_mark), folder)
    return mapping


def _refused(where: str, what: str) -> ConfigError:
    return ConfigError(
        f"{where}: has {what}",
        consequence="configuration files are plain data: one value per key, no tags, anchors or aliases",
        remedy="write the value out where it is used",
    )
