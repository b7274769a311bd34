"""Whether something is in two splits of datasets that are used together: from their records alone."""

from collections.abc import Sequence

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.sourcing.content_groups import leaks

_SHOWN = 8


def refuse_leaks(manifests: Sequence[DatasetManifest], places: Sequence[str]) -> None:
    """An id, or what is one and the same under whatever id, belongs to one split. `places` name the datasets.
    Raises ConfigError with the names.
    """
    assets = [
        (asset, place) for manifest, place in zip(manifests, places, strict=True) for asset in manifest.assets
    ]
    found = []
    for first, second, why in leaks([asset for asset, _ in assets]):
        (one, one_place), (other, other_place) = assets[first], assets[second]
        found.append(
            f"{one.id} is in {one.split} of {one_place}, {other.id} in {other.split} of {other_place} ({why})"
        )
    if found:
        raise ConfigError(
            f"assets that are the same, or have one id, in different splits: {'; '.join(found[:_SHOWN])}"
            + (f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""),
            consequence="a model would be judged on what it was trained on",
            remedy="pin each of them to one split (catalogue.yaml) and generate one of the datasets anew",
        )
