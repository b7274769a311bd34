"""Which split an asset belongs to: with everything that is one and the same with it, in one."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pairbridge.datagen.assets.catalogue import Asset, LeftOut
from pairbridge.datagen.core.errors import CatalogueError
from pairbridge.datagen.core.splits import Split
from pairbridge.datagen.sourcing.content_groups import Comparable, content_groups

# Of a hash's range: the first eight tenths train, the next validation, the last test.
_SPLIT_BOUNDS: tuple[tuple[float, Split], ...] = ((0.8, "train"), (0.9, "validation"), (1.0, "test"))


@dataclass(frozen=True, slots=True)
class FoundAsset:
    """An asset before it has a split: `names` say what it is one and the same with, `pinned` is a stated
    split."""

    asset: Asset
    names: frozenset[str]
    pinned: Split | None


def split_by_hash(name: str) -> Split:
    """Where assets go that nobody pinned: 0.8 train, 0.1 validation, 0.1 test, by the hash of a name."""
    position = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return next(split for bound, split in _SPLIT_BOUNDS if position < bound)


def place_assets(
    found: Sequence[FoundAsset], settled: Mapping[str, Comparable]
) -> tuple[list[Asset], list[LeftOut]]:
    """The assets with group and split, and those that belong to two splits of a dataset that was begun.

    A split is pinned, or that of the settled assets of the group, or drawn by the group's name. Raises
    CatalogueError for pins that would put parts of one group into different splits.
    """
    placed: list[Asset] = []
    astray: list[LeftOut] = []
    for group in content_groups([one.asset for one in found], [one.names for one in found]):
        members = [found[index] for index in group.members]
        there = [settled[one.asset.id] for one in members if one.asset.id in settled]
        pins = {one.pinned: one.asset for one in members if one.pinned and one.asset.id not in settled}
        if len(pins) > 1:
            raise _contradiction(*list(pins.items())[:2], group.whys)
        splits = list(dict.fromkeys([*pins, *(old.split for old in there)]))
        name = min((old.group for old in there), default=min(min(one.names) for one in members))
        for one in members:
            old = settled.get(one.asset.id)
            if old is not None:
                placed.append(replace(one.asset, split=one.pinned or old.split, group=old.group))
            elif len(splits) > 1:
                astray.append(_astray(one.asset, sorted(splits), group.whys))
            else:
                split = splits[0] if splits else split_by_hash(name)
                placed.append(replace(one.asset, split=split, group=name))
    return placed, astray


def _contradiction(
    first: tuple[Split, Asset], second: tuple[Split, Asset], whys: tuple[str, ...]
) -> CatalogueError:
    places = [f"{asset.id!r} ({asset.source}) is pinned to {split}" for split, asset in (first, second)]
    return CatalogueError(
        f"{' and '.join(places)}, and they belong together: {' and '.join(whys)}",
        consequence="a model would be judged on what it was trained on",
        remedy="pin all of them to one split, or `exclude` some, in their folders' catalogue.yaml (embedded "
        "assets have splits of their own: `assets.embedded: false` leaves them out); different things whose "
        "names look alike are told apart by a `group` of their own there",
    )


def _astray(asset: Asset, splits: Sequence[str], whys: Sequence[str]) -> LeftOut:
    why = f"it belongs with assets of {' and of '.join(splits)}: {' and '.join(whys)}"
    # Only a user's file can be new to a dataset that was begun.
    path = asset.path or Path(asset.source)
    return LeftOut(asset.id, asset.kind, path, asset.sha256, "in_two_splits", f"{path.name}: {why}")
