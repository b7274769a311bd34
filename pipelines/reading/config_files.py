"""Configuration files: found by path or by shipped name, changed by `--set`, checked against a frozen model.

Every problem names the file and the line. Relative paths of assets and weights start from the folder of
the file they are written in; those given by `--set` start from where the command runs.
"""

import difflib
import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.yaml_text import Document, Origin, Place, parse, read_document
from pairbridge.datagen.shards.object_store import is_url
from pairbridge.pipelines.reading.config_errors import explain

Model = TypeVar("Model", bound=BaseModel)

# Starts a dataset path that is relative to the run's folder (pairbridge.training.data.mix_config resolves
# it).
RUN_PREFIX = "run:"

# The ending of a folder of configs that a message about one of them drops.
_PLURAL = re.compile(r"(?<=mix)es$|s$")
_USER_CODE = re.compile(r".+\.py:[A-Za-z_]\w*")

SHIPPED = Path(str(resources.files("pairbridge.pipelines") / "configs"))


def find_config(kind: str, name: str | Path, *, folder: str | Path | None = None) -> Path:
    """The file of a kind (a folder of pipelines/configs) that `name` means: a path (from `folder`, else from
    the working directory), or a shipped config's name.

    Raises ConfigError with the nearest shipped name.
    """
    path = Path(folder or "") / name
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
    else:
        shipped = SHIPPED / kind / f"{name}.yaml"
        if shipped.is_file():
            return shipped
    known = shipped_names(kind)
    near = difflib.get_close_matches(Path(name).stem, known, n=1)
    raise ConfigError(
        f"there is no {_PLURAL.sub('', kind)} config {str(name)!r}",
        consequence="there is nothing to run",
        remedy=(f"did you mean {near[0]!r}? " if near else "")
        + f"Give the path of a .yaml file, or one of the shipped names: {', '.join(known)}",
    )


def shipped_names(kind: str) -> list[str]:
    """Names of the configs of one kind that come with the package."""
    return sorted(path.stem for path in (SHIPPED / kind).glob("*.yaml"))


def load_config(
    path: str | Path, model: type[Model], overrides: Sequence[str] = (), *, below: str = ""
) -> Model:
    """The checked value of one file after `overrides` (each `a.b=value`). Raises ConfigError.

    The user gave them with `below` before each: the part of a run or sweep that the file is.
    """
    document = read_document(Path(path))
    if not isinstance(document.value, dict):
        raise ConfigError(
            f"{path} does not hold a mapping of keys",
            consequence="there is nothing to run",
            remedy="start from a shipped file in pipelines/configs",
        )
    for override in overrides:
        document = apply_override(document, override, below=below)
    return check(document, model)


def check(document: Document, model: type[Model]) -> Model:
    """`document` as a `model`, its relative paths made absolute. Raises ConfigError."""
    try:
        checked = model.model_validate(_with_anchored_code(_with_anchored_sources(document), (), document))
    except ValidationError as error:
        raise explain(error, document, model) from error
    return _with_absolute_paths(checked, (), document)


def apply_override(document: Document, override: str, *, below: str = "") -> Document:
    """The document with one `a.b=value` applied; the value is YAML, list entries are addressed by number.
    Messages name it as it was given, with `below` before it.
    """
    dotted, separator, text = override.partition("=")
    if not separator or not all(part for part in dotted.split(".")):
        raise ConfigError(
            f"--set {below + override!r} is not of the form a.b=value",
            consequence="it is not clear which key it changes",
            remedy="write e.g. --set render.samples=64",
        )
    origin = f"--set {below}{override}"
    given = parse(text, name=origin, folder=Path.cwd(), with_lines=False)
    place: Place = ()
    value = document.value
    for part in dotted.split("."):
        key: str | int = int(part) if isinstance(value, list) and part.isdecimal() else part
        if isinstance(value, dict):
            value = value.get(key, {})
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            raise ConfigError(
                f"{origin}: {'.'.join(map(str, place)) or 'the file'} has no entry {part!r}",
                consequence="the override would be lost",
                remedy=f"it holds {value!r}; address keys of mappings by name and entries of lists by number",
            )
        place = (*place, key)
    kept = {at: where for at, where in document.origins.items() if at[: len(place)] != place}
    added = {(*place, *at): where for at, where in given.origins.items()}
    around = {place[:depth]: Origin(origin, Path.cwd()) for depth in range(1, len(place))}
    return Document(_replaced(document.value, place, given.value), {**around, **kept, **added})


def _replaced(value: Any, place: Place, new: Any) -> Any:
    if not place:
        return new
    first, rest = place[0], place[1:]
    if isinstance(value, list):
        return [_replaced(entry, rest, new) if index == first else entry for index, entry in enumerate(value)]
    return {**value, first: _replaced(value.get(first, {}), rest, new)}


def _with_anchored_sources(document: Document) -> Any:
    """The value with the dataset folders of a mix's or an evaluation's `sources` made absolute; `run:...`
    stays.
    """
    if not isinstance(document.value, dict) or not isinstance(document.value.get("sources"), list):
        return document.value
    sources = []
    for index, source in enumerate(document.value["sources"]):
        path = source.get("path") if isinstance(source, dict) else None
        if isinstance(path, str) and not path.startswith(RUN_PREFIX) and not is_url(path):
            folder = document.origin(("sources", index, "path")).folder
            source = {**source, "path": str((folder / path).resolve())}
        sources.append(source)
    return {**document.value, "sources": sources}


def _with_anchored_code(value: Any, place: Place, document: Document) -> Any:
    """The value with the files of the user's own classes (`file.py:Class`) made absolute: they are read while
    the config is checked.
    """
    if isinstance(value, dict):
        return {key: _with_anchored_code(entry, (*place, key), document) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_anchored_code(entry, (*place, index), document) for index, entry in enumerate(value)]
    if isinstance(value, str) and _USER_CODE.fullmatch(value):
        path, _, name = value.rpartition(":")
        return f"{(document.origin(place).folder / path).resolve()}:{name}"
    return value


def _with_absolute_paths(value: Any, place: Place, document: Document) -> Any:
    if isinstance(value, Path):
        there = document.origin(place).folder / value
        # A program keeps the name it was given: a virtual environment is known by the link in its bin.
        is_program = there.is_file() and os.access(there, os.X_OK)
        return there.parent.resolve() / there.name if is_program else there.resolve()
    if isinstance(value, tuple):
        return tuple(
            _with_absolute_paths(entry, (*place, index), document) for index, entry in enumerate(value)
        )
    if isinstance(value, dict):
        return {key: _with_absolute_paths(entry, (*place, key), document) for key, entry in value.items()}
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        resolved = {
            name: _with_absolute_paths(entry, (*place, name), document) for name, entry in fields.items()
        }
        return value.model_copy(update=resolved)
    return value
