"""Messages for a configuration that does not fit its model: file, line, and the nearest key that exists."""

import difflib
import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.yaml_text import Document, Place

MAX_SHOWN = 8


def explain(error: ValidationError, document: Document, model: type[BaseModel]) -> ConfigError:
    """Every problem of one validation as a single ConfigError."""
    problems = [_problem(item, document, model) for item in error.errors(include_url=False)]
    shown = problems[:MAX_SHOWN]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return ConfigError(
        "\n    ".join(shown),
        consequence="nothing was started; a value ignored or guessed would change the result in silence",
        remedy="correct the file (or the --set); `pairbridge config show KIND` prints every key",
    )


def _problem(item: Any, document: Document, model: type[BaseModel]) -> str:
    place = _place(item["loc"], document.value)
    dotted = ".".join(str(part) for part in place)
    where = document.origin(place).text
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key {dotted!r}{_suggestion(place, item['loc'], document.value, model)}"
    if item["type"] == "missing":
        missing = ".".join((*map(str, place), str(item["loc"][-1])))
        return f"{where}: the key {missing!r} is missing"
    message = _message(item)
    value = item["input"]
    given = (
        f" (it is {value!r})" if isinstance(value, str | int | float) and repr(value) not in message else ""
    )
    return f"{where}: {dotted + ': ' if dotted else ''}{message[:1].lower() + message[1:]}{given}"


def _message(item: Any) -> str:
    context = item.get("ctx", {})
    if item["type"] == "tuple_type":
        return f"should be a list, such as [{item['input']}]"
    if item["type"] == "union_tag_invalid":
        wrong, allowed = context["tag"], context["expected_tags"]
        message = f"no {context['discriminator'].strip(chr(39))} is called {wrong!r}; there are {allowed}"
    else:
        wrong, allowed = item["input"], str(context.get("expected", ""))
        message = item["msg"].removeprefix("Value error, ")
    near = difflib.get_close_matches(str(wrong), re.findall("'([^']+)'", allowed), n=1)
    return f"{message}; did you mean {near[0]!r}?" if near else message


def _place(loc: tuple[str | int, ...], value: Any) -> Place:
    """The place in the data that pydantic's `loc` means: without the names of union members, which are not
    in it.
    """
    place: list[str | int] = []
    for part in loc:
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        ):
            value = value[part]
        else:
            continue
        place.append(part)
    return tuple(place)


def _suggestion(place: Place, loc: tuple[str | int, ...], data: Any, model: type[BaseModel]) -> str:
    wrong = str(place[-1])
    around: Any = model
    for part in place[:-1]:
        data = data[part]
        around = _inner(around, part, data)
    found = _models(around)
    if len(found) > 1:  # a union: pydantic names the chosen member in `loc`
        found = [each for each in found if _names_member(each, loc)] or found
    keys = sorted({name for each in found for name in each.model_fields})
    near = difflib.get_close_matches(wrong, keys, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    elsewhere = sorted(_dotted_fields(model, wrong))
    if elsewhere:
        return f"; it belongs under {' or '.join(elsewhere[:3])}"
    return f"; valid here: {', '.join(keys)}"


def _inner(annotation: Any, part: str | int, data: Any) -> Any:
    """The annotation of what lies at `part` inside a value of `annotation`."""
    for model in _models(annotation):
        if part in model.model_fields:
            return model.model_fields[part].annotation
    for each in _members(annotation):
        arguments = get_args(each)
        if get_origin(each) is dict:
            return arguments[1]
        if get_origin(each) in (list, tuple) and isinstance(part, int):
            return arguments[0]
    return Any


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [each for each in _members(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]


def _members(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _members(each)
    else:
        yield annotation


def _names_member(model: type[BaseModel], loc: tuple[str | int, ...]) -> bool:
    literals = [
        field.annotation for field in model.model_fields.values() if get_origin(field.annotation) is Literal
    ]
    return any(value in loc for literal in literals for value in get_args(literal))


def _dotted_fields(model: type[BaseModel], wanted: str, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Where else in the model a field of this name is: `render.samples`."""
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            if wanted in inner.model_fields:
                yield ".".join((*path, name))
            yield from _dotted_fields(inner, wanted, (*path, name))
