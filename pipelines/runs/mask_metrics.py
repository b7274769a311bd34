"""Figures of the removal masks that a run made or mixed, beside those of LaMa's published generator."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.imaging.mask_statistics import lama_statistics, mask_statistics
from pairbridge.datagen.imaging.masks import EVALUATION, TRAINING
from pairbridge.training.data.pairs import PairSource, open_store

# Masks looked at, per set: their mean coverage is then known to about 0.015.
_MASKS = 128


def mask_figures(sets: list[tuple[str, Path, str, str]]) -> list[dict[str, Any]]:
    """A row for each set (name, folder, recipe, split) whose pairs are removal pairs, then LaMa's, where
    there is any. `reference` marks the latter.
    """
    rows = [
        {"name": name, "reference": False, **asdict(mask_statistics(_masks(folder, recipe, split)))}
        for name, folder, recipe, split in sets
        if open_store(folder, recipe, split).is_removal
    ]
    if not rows:
        return []
    return rows + [
        {
            "name": f"{settings.name}, {settings.reference_side} pixels",
            "reference": True,
            **asdict(lama_statistics(settings, _MASKS)),
        }
        for settings in (TRAINING, *EVALUATION)
    ]


def _masks(folder: Path, recipe: str, split: str) -> Iterator[np.ndarray]:
    """Spread evenly over the set."""
    pairs = PairSource(folder, recipe, split)
    count = min(_MASKS, len(pairs))
    for index in np.linspace(0, len(pairs) - 1, count).round().astype(int).tolist():
        yield pairs.pair(index).mask
