"""The keys of a configuration, from its JSON schema, for people: type, default and description of each."""

import difflib
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pairbridge.datagen.core.errors import ConfigError

# Stand in a key's path for what a user names or numbers: `recipes.<name>.groups`, `sources.<n>.weight`.
NAME, NUMBER = "<name>", "<n>"

_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """default: as in YAML; None where the key must be given or holds others."""

    path: str
    type: str
    default: str | None
    description: str


@dataclass(frozen=True, slots=True)
class KeySection:
    """The keys of the top of a file, or of one variant of what stands at a place in it."""

    title: str
    description: str
    keys: tuple[Key, ...]


def sections(schema: _Schema) -> list[KeySection]:
    """All keys of a configuration; those of a variant (`kind: ...`) of a part are a section of their own."""
    return list(_Walk(schema.get("$defs", {})).section("", schema, (), {}))


def below(found: Sequence[KeySection], wanted: str) -> list[KeySection]:
    """The key `wanted` and those below it. Raises ConfigError where there is none."""
    parts = wanted.split(".")

    def fits(path: str) -> bool:
        own = path.split(".")
        return len(own) >= len(parts) and all(
            mine == given or mine in (NAME, NUMBER) for mine, given in zip(own, parts, strict=False)
        )

    kept = [replace(one, keys=tuple(key for key in one.keys if fits(key.path))) for one in found]
    if not any(one.keys for one in kept):
        near = difflib.get_close_matches(wanted, [key.path for one in found for key in one.keys], n=1)
        raise ConfigError(
            f"there is no key {wanted!r}",
            consequence="there is nothing to show",
            remedy=f"did you mean {near[0]!r}?" if near else "leave KEY out to see all",
        )
    return [one for one in kept if one.keys]


def as_text(found: Sequence[KeySection], width: int) -> str:
    """For a terminal or a pipe."""
    lines = []
    for one in found:
        if one.title:
            lines.append(f"\n{one.title}: {one.description}\n")
        for key in one.keys:
            lines.append(f"{key.path}  ({key.type}{_default(key, ', default {}')})")
            lines += textwrap.wrap(key.description, width, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def as_markdown(found: Sequence[KeySection]) -> str:
    """Tables, each section's under its title."""
    lines = []
    for one in found:
        lines += [f"**{one.title}**: {_cell(one.description)}\n"] if one.title else []
        lines += ["| key | type | default | description |", "|---|---|---|---|"]
        for key in one.keys:
            cells = (f"`{key.path}`", _cell(key.type), _default(key, "`{}`"), _cell(key.description))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _default(key: Key, form: str) -> str:
    return "" if key.default is None else form.format(key.default)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


@dataclass(frozen=True, slots=True)
class _Walk:
    """Through a schema, whose `definitions` its references name."""

    definitions: Mapping[str, _Schema]

    def section(
        self, title: str, model: _Schema, place: tuple[str, ...], defaults: Mapping[str, Any]
    ) -> Iterator[KeySection]:
        keys: list[Key] = []
        variants: list[KeySection] = []
        self._collect(model, place, defaults, keys, variants)
        yield KeySection(title, _line(model.get("description", "")), tuple(keys))
        yield from variants

    def _collect(
        self,
        model: _Schema,
        place: tuple[str, ...],
        defaults: Mapping[str, Any],
        keys: list[Key],
        variants: list[KeySection],
    ) -> None:
        required = model.get("required", ())
        for name, field in model.get("properties", {}).items():
            here = (*place, name)
            default = defaults.get(name, field.get("default"))
            parts = list(self._parts(field, here))
            given = name in required or (isinstance(default, dict) and parts)
            text = None if given else json.dumps(default, ensure_ascii=False)
            keys.append(Key(".".join(here), self._type(field), text, _line(field.get("description", ""))))
            for at, part in parts:
                nested = default if isinstance(default, dict) and at == here else {}
                if len(parts) == 1:
                    self._collect(part, at, nested, keys, variants)
                else:
                    kind = part["properties"]["kind"]
                    which = f"kind: {kind['const']}" if "const" in kind else part["title"]
                    own = nested if nested.get("kind") == kind.get("const") else {}
                    variants += self.section(f"{'.'.join(at)}, {which}", part, at, own)

    def _parts(self, field: _Schema, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], _Schema]]:
        """The models that a value may be or hold, and where."""
        field = self._resolved(field)
        if "properties" in field:
            yield place, field
        for one in (*field.get("anyOf", ()), *field.get("oneOf", ())):
            yield from self._parts(one, place)
        if isinstance(field.get("additionalProperties"), dict):
            yield from self._parts(field["additionalProperties"], (*place, NAME))
        if isinstance(field.get("items"), dict):
            yield from self._parts(field["items"], (*place, NUMBER))

    def _resolved(self, field: _Schema) -> _Schema:
        if "$ref" in field:
            return self._resolved(self.definitions[field["$ref"].rpartition("/")[2]])
        return field

    def _type(self, field: _Schema) -> str:
        field = self._resolved(field)
        if "const" in field or "enum" in field:
            return " | ".join(map(str, field.get("enum", [field.get("const")])))
        if "anyOf" in field or "oneOf" in field:
            types = dict.fromkeys(map(self._type, (*field.get("anyOf", ()), *field.get("oneOf", ()))))
            return " | ".join(types)
        if "prefixItems" in field:
            return f"[{', '.join(map(self._type, field['prefixItems']))}]"
        kind = field.get("type", "any")
        if kind == "array":
            return f"list of {self._type(field['items'])}" if field.get("items") else "list"
        if kind == "object":
            values = field.get("additionalProperties")
            return f"mapping to {self._type(values)}" if isinstance(values, dict) else "mapping"
        bounds = [f"{sign} {field[name]:g}" for name, sign in _BOUNDS.items() if name in field]
        return " ".join([kind, ", ".join(bounds)]).strip()


def _line(text: str) -> str:
    return " ".join(text.split())
