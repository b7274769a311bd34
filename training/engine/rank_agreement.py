"""What one rank finds out, or fails at, told to all: a rank that waited for another's part would do so until
a time-out.
"""

from collections.abc import Callable
from typing import TypeVar

from pairbridge.datagen.core.errors import PairbridgeError
from pairbridge.training.data.ranks import Ranks

T = TypeVar("T")


def all_say(ranks: Ranks, ask: Callable[[], T]) -> list[T]:
    """What `ask` returns on each rank, in their order; or the error that it raised on one, on every rank.
    Collective.
    """
    return _told(ranks, [_tried(ask)])


def first_says(ranks: Ranks, ask: Callable[[], T]) -> T:
    """What `ask` returns on the first rank, or raises there, on every rank; it is called on no other.
    Collective.
    """
    (said,) = _told(ranks, [_tried(ask)] if ranks.first else [])
    return said


def _tried(ask: Callable[[], T]) -> T | Exception:
    try:
        return ask()
    except (PairbridgeError, OSError) as error:
        return error


def _told(ranks: Ranks, mine: list[T | Exception]) -> list[T]:
    said = ranks.gather(mine)
    for one in said:
        if isinstance(one, Exception):
            raise one
    return said
