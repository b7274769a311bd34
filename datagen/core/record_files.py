"""JSON files that hold one record of ours, read as its model: whole, of a bounded size, or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Record = TypeVar("Record", bound=BaseModel)


def read_record(
    model: type[Record], path: Path, most_bytes: int, unusable: Callable[[Path, str], Exception]
) -> Record:
    """The record at `path`. Raises what `unusable` makes of the path and of what is wrong with it."""
    try:
        size = path.stat().st_size
        if size > most_bytes:
            raise unusable(path, f"{size} bytes are above the cap of {most_bytes}")
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise unusable(path, error.strerror or str(error)) from error
    except ValidationError as error:
        raise unusable(path, first_problem(error)) from error


def first_problem(error: ValidationError) -> str:
    """Where a record is wrong and how, without what it holds."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
