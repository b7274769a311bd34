"""Quarantine entries: why a planned sample is not there.

Functions of plan and content alone, without a path of this machine, a clock or a count: they end in the
sidecar and must be the same after any number of kills.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pairbridge.datagen.assets.catalogue import Catalogue
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.dataset.redraw import MadeGroup, Refusal
from pairbridge.datagen.shards.layout import GroupSpec
from pairbridge.datagen.shards.records import Hole, Rejection
from pairbridge.pipelines.attempts.policy import Fault


def assets_used(spec: GroupSpec, catalogue: Catalogue) -> tuple[str, ...]:
    """Ids of the assets that the group's parameters name, as mentioned (objects as `family:seed`)."""
    return tuple(dict.fromkeys(text for text in texts(spec.params) if catalogue.find(text)))


def asset_ids(spec: GroupSpec, catalogue: Catalogue) -> tuple[str, ...]:
    """Ids of the catalogue's entries behind `assets_used`: of a family, not of its objects."""
    found = (catalogue.find(text) for text in texts(spec.params))
    return tuple(dict.fromkeys(asset.id for asset in found if asset))


def refused(refusal: Refusal, catalogue: Catalogue) -> Hole:
    """The hole of a pair that a gate refused to the last, or whose asset is broken."""
    reason, culprit = refusal.error.cause, None
    for asset_id in assets_used(refusal.spec, catalogue):
        path = catalogue.get(asset_id).path
        if path and path.name in reason:
            reason = reason.replace(str(path), path.name)
            culprit = asset_id
    return Hole(key=refusal.key, reason=reason, asset=culprit, gate=getattr(refusal.error, "gate", None))


def refused_assets(made: MadeGroup, catalogue: Catalogue) -> dict[str, int]:
    """Catalogue id -> how many draws that used it a gate refused, and how many pairs its broken file cost."""
    counts: Counter[str] = Counter()
    for refusal in made.rejected:
        counts.update(asset_ids(refusal.spec, catalogue))
    for outcome in made.outcomes:
        if isinstance(outcome, Refusal) and (culprit := refused(outcome, catalogue).asset):
            counts[culprit.partition(":")[0]] += 1
    return dict(counts)


def broken_assets(made: MadeGroup, catalogue: Catalogue) -> frozenset[str]:
    """Catalogue ids of what cost pairs as a broken asset; of all that a draw used, where its error names
    none."""
    found: set[str] = set()
    for outcome in made.outcomes:
        if isinstance(outcome, Refusal) and isinstance(outcome.error, AssetError):
            culprit = refused(outcome, catalogue).asset
            found.update([culprit.partition(":")[0]] if culprit else asset_ids(outcome.spec, catalogue))
    return frozenset(found)


def rejection(refusal: Refusal, catalogue: Catalogue) -> Rejection:
    """The record of a draw that a gate refused."""
    hole = refused(refusal, catalogue)
    return Rejection(key=hole.key, draw=refusal.spec.draw, gate=hole.gate, reason=hole.reason)


def given_up(spec: GroupSpec, fault: Fault, reason: str, catalogue: Catalogue) -> tuple[Hole, ...]:
    """The holes of a whole group whose making ended in a crash or a time-out again and again.

    Which of its assets is to blame is not known, so all are named.
    """
    used = ", ".join(assets_used(spec, catalogue))
    which = f"draw {spec.draw} of the group" if spec.draw else "the group"
    why = f"{reason}; {which} uses {used}"
    return tuple(Hole(key=key, reason=why, fault=fault.value) for key in spec.keys)


def is_called(hole: Hole, reason: str) -> bool:
    """Whether `reason` names the hole's fault, gate or asset, or is a part of its reason in any letter case;
    all are called by an empty one."""
    return reason in (hole.fault, hole.gate, hole.asset) or reason.casefold() in hole.reason.casefold()


# What a group's parameters name: ids of assets are among their strings, whatever the recipe.


def texts(value: Any) -> Iterator[str]:
    """Every string in nested dicts, lists and tuples, in order, as often as it stands there."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)
