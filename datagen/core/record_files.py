"""JSON files that hold one record of ours, read as its model: whole, of a bounded size, or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pairbridge.datagen.core.bounded_files import read_at_most
from pairbridge.datagen.core.bounded_json import JsonRefused, check_json, read_json_object
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.limits import MAX_RECORD_BYTES

Record = TypeVar("Record", bound=BaseModel)


def read_record(
    model: type[Record], path: Path, most_bytes: int, unusable: Callable[[Path, str], Exception]
) -> Record:
    """The record at `path`. Raises what `unusable` makes of the path and of what is wrong with it."""
    try:
        return parse_record(model, read_at_most(path, most_bytes), most_bytes)
    except OSError as error:
        raise unusable(path, error.strerror or str(error)) from error
    except JsonRefused as error:
        raise unusable(path, str(error)) from error
    except ValidationError as error:
        raise unusable(path, first_problem(error)) from error


def read_output(path: Path, command: str) -> dict[str, Any]:
    """The JSON that a command left for others. Raises ConfigError, naming the command that writes it anew."""
    try:
        return read_json_object(path, MAX_RECORD_BYTES)
    except (OSError, JsonRefused) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}",
            consequence="what rests on it is not shown",
            remedy=f"delete it and run `pairbridge {command}` again, which writes it anew",
        ) from error


def parse_record(model: type[Record], data: bytes, most_bytes: int) -> Record:
    """The record in a text. Raises JsonRefused for one above a limit, ValidationError for another one."""
    check_json(data, most_bytes)
    return model.model_validate_json(data)


def first_problem(error: ValidationError) -> str:
    """Where a record is wrong and how, without what it holds."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
