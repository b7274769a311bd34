"""Which pairs of a source a mix uses: a review that the page of `pairbridge inspect --page` saved, or a list.

A review is one JSON object; a list is a text with a key a line. Either names pairs by their keys, which say
nothing of where they lie, so that one file serves all recipes of a dataset.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from pairbridge.datagen.core.bounded_files import read_at_most
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.limits import MAX_RECORD_BYTES
from pairbridge.datagen.core.record_files import read_record


class PairReview(FrozenModel):
    """What somebody said of the pairs of one dataset."""

    format: Literal["pairbridge-review/1"]
    dataset: str
    accepted: tuple[str, ...]
    rejected: tuple[str, ...]
    tags: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Key -> words; a mix does not read them."""


def keys_to_leave_out(path: Path, dataset: str) -> frozenset[str]:
    """The keys that a review of `dataset` rejects, or those of a list. Raises ConfigError."""
    return _keys(path, dataset, lambda review: review.rejected)


def keys_to_keep(path: Path, dataset: str) -> frozenset[str]:
    """The keys that a review of `dataset` accepts, or those of a list. Raises ConfigError."""
    return _keys(path, dataset, lambda review: review.accepted)


def chosen(keys: Iterable[str], keep: frozenset[str] | None, exclude: frozenset[str] | None) -> np.ndarray:
    """bool, one a key: whether it is among those to keep (None: all) and not among those left out."""
    return np.array(
        [(keep is None or key in keep) and (exclude is None or key not in exclude) for key in keys], bool
    )


def _keys(path: Path, dataset: str, of_review: Callable[[PairReview], tuple[str, ...]]) -> frozenset[str]:
    if path.suffix == ".json":
        review = read_record(PairReview, path, MAX_RECORD_BYTES, _unusable)
        if review.dataset != dataset:
            raise ConfigError(
                f"{path} is a review of the dataset {review.dataset!r}, and the source is of {dataset!r}",
                consequence="keys of the one mean other pairs in the other",
                remedy=f"name a review that the page of {dataset!r} saved",
            )
        return frozenset(of_review(review))
    try:
        data = read_at_most(path, MAX_RECORD_BYTES)
        if len(data) > MAX_RECORD_BYTES:
            raise _unusable(path, f"it has more than {MAX_RECORD_BYTES >> 20} MiB")
        text = data.decode()
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unusable(path, "it is no text in UTF-8") from error
    return frozenset(line.strip() for line in text.splitlines() if line.strip() and line[0] != "#")


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path} cannot be read as a review or list of pairs: {why}",
        consequence="it is not known which pairs the mix should use",
        remedy="save a .json on the page of `pairbridge inspect --page`, or write a .txt with a key a line",
    )
