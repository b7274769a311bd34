"""Pairs by path templates: `img/{id}.jpg` beside `mask/{id}.png`.

`{id}` stands for any part of a path, folders included; every other name for a part without a slash. The
values of a template's names, in the order in which the first field mentions them, are the pair's id.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import field_validator

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.imports.candidates import Refused, walk_files
from pairbridge.datagen.imports.field_codecs import Codec
from pairbridge.datagen.imports.import_manifest import FileRef
from pairbridge.datagen.shards.fields import FieldStem

_NAME = re.compile(r"\{([a-z_]+)\}")
_ID = "id"

Values = dict[str, str]


class FieldFiles(FrozenModel):
    """The files of one field: templates, of which exactly one must give a file, and what the files hold."""

    paths: tuple[str, ...]
    """Path templates below the root, of which exactly one must give a file."""
    codec: Codec
    """What the files hold."""

    @field_validator("paths", mode="before", json_schema_input_type=tuple[str, ...] | str)
    @classmethod
    def _one_or_more(cls, paths: Any) -> Any:
        return (paths,) if isinstance(paths, str) else paths

    @field_validator("paths")
    @classmethod
    def _well_formed(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        if not paths:
            raise ValueError("name at least one path, such as img/{id}.jpg")
        names = {frozenset(_NAME.findall(path)) for path in paths}
        if len(names) > 1 or not next(iter(names)):
            raise ValueError(f"{list(paths)} must all hold the same names in braces, such as {{id}}")
        for path in paths:
            if set("{}") & set(_NAME.sub("", path)) or path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"{path!r} is no path below the root with names like {{id}} in it")
        return paths

    @property
    def names(self) -> tuple[str, ...]:
        """Names in braces, in the order of the first template, each once."""
        return tuple(dict.fromkeys(_NAME.findall(self.paths[0])))

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(_pattern(path) for path in self.paths)

    def match(self, path: str) -> Values | None:
        """The values of the names, if `path` is one of this field's files."""
        for pattern in self._patterns:
            found = pattern.fullmatch(path)
            if found:
                return found.groupdict()
        return None


def _pattern(template: str) -> re.Pattern[str]:
    seen: set[str] = set()
    parts = []
    for position, part in enumerate(_NAME.split(template)):
        if position % 2 == 0:
            parts.append(re.escape(part))
        elif part in seen:
            parts.append(f"(?P={part})")
        else:
            seen.add(part)
            parts.append(f"(?P<{part}>{'.+' if part == _ID else '[^/]+'})")
    return re.compile("".join(parts))


def find_pairs(
    root: Path, fields: Mapping[FieldStem, FieldFiles]
) -> tuple[dict[str, tuple[Values, dict[FieldStem, FileRef]]], list[Refused]]:
    """({id: (values, files)} sorted by id, refused) of every pair whose fields are all there, once each.

    Raises ConfigError if the fields' templates hold different names, or if no file at all fits one of them.
    """
    names = next(iter(fields.values())).names
    for field, files in fields.items():
        if set(files.names) != set(names):
            raise ConfigError(
                f"the paths of {field} hold the names {sorted(files.names)}, the first field's "
                f"{sorted(names)}",
                consequence="it is not clear which of its files belong to which pair",
                remedy="use the same names in braces for every field",
            )
    found: dict[str, dict[FieldStem, list[str]]] = {}
    values_of: dict[str, Values] = {}
    for path in walk_files(root):
        for field, files in fields.items():
            values = files.match(path)
            if values is not None:
                pair_id = "/".join(values[name] for name in names)
                values_of[pair_id] = values
                found.setdefault(pair_id, {}).setdefault(field, []).append(path)
    for field, files in fields.items():
        if not any(field in there for there in found.values()):
            raise ConfigError(
                f"no file below {root} fits {' or '.join(files.paths)} ({field})",
                consequence="there is no pair to import",
                remedy="correct `root` or the layout; its paths start at the root, and letters' case counts",
            )
    pairs, refused = {}, []
    for pair_id in sorted(found):
        reason = _incomplete(fields, found[pair_id])
        if reason:
            refused.append(Refused(pair_id, reason))
            continue
        paths = {field: found[pair_id][field][0] for field in fields}
        empty = [path for path in paths.values() if (root / path).stat().st_size == 0]
        if empty:
            refused.append(Refused(pair_id, f"{empty[0]} is empty"))
            continue
        refs = {field: FileRef(path=path, size=(root / path).stat().st_size) for field, path in paths.items()}
        pairs[pair_id] = values_of[pair_id], refs
    return pairs, refused


def _incomplete(fields: Mapping[FieldStem, FieldFiles], there: dict[FieldStem, list[str]]) -> str | None:
    for field in fields:
        paths = there.get(field, [])
        if not paths:
            return f"it has no {field}"
        if len(paths) > 1:
            return f"several files could be its {field}: {', '.join(paths)}"
    return None
