"""The pairs of a group whose foregrounds a model relights: all of a group at once, refused one by one."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.models.relighting import RelighterConfig, ToRelight, relit_images
from pairbridge.datagen.models.relighting.structure import structure_agreement
from pairbridge.datagen.recipes.workbench import Workbench
from pairbridge.datagen.shards.sample import Pair

Prepared = TypeVar("Prepared")


def make_relit(
    count: int,
    relighter: RelighterConfig,
    workbench: Workbench,
    *,
    prepare: Callable[[int], Prepared],
    to_relight: Callable[[int, Prepared], ToRelight],
    finish: Callable[[int, Prepared, np.ndarray], Pair],
) -> list[Pair | Rejected]:
    """Pairs 0 to `count` - 1, or why each was refused: `prepare` makes what `to_relight` gives the model, and
    `finish` a pair of it and the relit picture, uint8 (H, W, 3). Either may raise Rejected.
    """
    made: dict[int, Pair | Rejected] = {}
    prepared: dict[int, Prepared] = {}
    for number in range(count):
        try:
            prepared[number] = prepare(number)
        except Rejected as refused:
            made[number] = refused
    model = workbench.relighter(relighter)
    workbench.phase("relight")
    # Together: a model on a GPU is faster on a batch.
    relit = relit_images(model, [to_relight(number, one) for number, one in prepared.items()])
    workbench.phase("compose")
    for (number, one), image in zip(prepared.items(), relit, strict=True):
        try:
            made[number] = image if isinstance(image, Rejected) else finish(number, one, image)
        except Rejected as refused:
            made[number] = refused
    return [made[number] for number in range(count)]


def check_structure(before: np.ndarray, relit: np.ndarray, mask: np.ndarray, least: float) -> float:
    """The structural similarity, in [-1, 1], of a foreground before and after it was relit: uint8 (H, W, 3)
    each. Raises Rejected below `least`.
    """
    structure = structure_agreement(before, relit, mask)
    if structure < least:
        raise Rejected(
            f"the relit foreground lost its edges: structure {structure:.3f}, below {least}",
            remedy="give the relighter a `detail` transfer, or lower the recipe's `min_structure`",
            gate="lost_structure",
        )
    return structure
