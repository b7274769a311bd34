"""Real sizes: every family has one, scenes keep them, and files are believed where they are plausible."""

import dataclasses
from pathlib import Path

import pytest

from pairbridge.datagen.assets.catalogue import Asset, Catalogue
from pairbridge.datagen.blender.families import FAMILIES
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.plan import make_plan
from pairbridge.datagen.scene.object_sizes import FAMILY_FACTS, at_scale, settled_sizes
from pairbridge.datagen.scene.specs import ObjectSpec, PlacedObject, ReceiverSpec, SceneSpec
from pairbridge.datagen.scene.surface_draws import ground_surface, wall_surface

COMMON = {"licence": "CC0-1.0", "author": "x", "source": "x", "sha256": "0", "split": "train"}


def plans(kind: str, count: int = 1000, **keys: object) -> list[dict]:
    """Plans on every family, two files of which one has a size, and a person."""
    assets = [Asset(id=family, kind="family", family=family, **COMMON) for family in FAMILIES]
    files = {"ring": {"size_m": 0.02}, "thing": {}, "walker": {"tags": ("human",)}}
    assets += [
        Asset(id=name, kind="object", path=Path(f"/{name}.obj"), **COMMON, **facts)
        for name, facts in files.items()
    ]
    assets.append(Asset(id="sky", kind="hdri", lighting="hdri", **COMMON))
    recipe = {"kind": kind, "groups": {"train": count}, "objects_share": 0.3, **keys}
    config = DatasetConfig.model_validate({"name": "sizes", "seed": 3, "recipes": {"it": recipe}})
    plan = make_plan(config, Catalogue(tuple(assets)))
    return [plan.group(plan.streams[0], group).params for group in range(count)]


def test_every_family_has_a_real_size() -> None:
    assert set(FAMILIES) <= set(FAMILY_FACTS)
    for low, high in (facts.size_m for facts in FAMILY_FACTS.values()):
        assert 0.02 <= low < high <= 3.0


def test_planned_sizes_are_those_of_the_family_the_catalogue_or_a_person() -> None:
    seen: dict[str, list[float]] = {}
    for plan in plans("shadow_generation"):
        [entry] = plan["objects"]
        name = entry["id"].partition(":")[0]
        assert entry["size_from"] == {"ring": "catalogue", "thing": "drawn", "walker": "person"}.get(
            name, "family"
        )
        seen.setdefault(name, []).append(entry["size_m"])
    assert set(seen["ring"]) == {0.02}
    assert 1.5 < min(seen["walker"]) < max(seen["walker"]) < 1.95
    for family, facts in FAMILY_FACTS.items():
        assert facts.size_m[0] <= min(seen[family]) <= max(seen[family]) <= facts.size_m[1]


@pytest.mark.parametrize("kind", ["relighting_swap", "object_removal", "geometry"])
def test_things_of_one_scene_are_within_the_ratio_of_each_other(kind: str) -> None:
    spans = []
    for plan in plans(kind, 300, objects=[4, 4] if kind != "geometry" else [3, 3]):
        sizes = [entry["size_m"] for entry in plan["objects"]]
        spans.append(max(sizes) / min(sizes))
    # A ring has nothing near it in this catalogue: its scenes keep real sizes and are the exception.
    assert sum(span <= 4.0001 for span in spans) > 0.9 * len(spans)
    assert max(spans) > 2


def test_equal_scale_plans_no_sizes() -> None:
    for plan in plans("relighting_swap", 20, scale="equal", objects=[2, 2]):
        assert all("size_m" not in entry for entry in plan["objects"])
        assert "size_ratio" not in plan


def scene(*sizes: tuple[float, str], ratio: float = 4.0) -> SceneSpec:
    mug = ObjectSpec(family="mug", seed=1)
    placed = tuple(PlacedObject(object=mug, size_m=size_m, size_from=origin) for size_m, origin in sizes)
    return SceneSpec(objects=placed, size_ratio=ratio)


def test_a_size_that_a_file_states_is_believed_where_it_is_plausible_and_fits() -> None:
    def settled(spec: SceneSpec, *stated: float | None) -> list[tuple[float | None, str | None]]:
        sizes = settled_sizes(spec, list(stated), (0.02, 5.0))
        return [(one.size_m, one.size_from) for one in sizes]

    assert settled(scene((0.3, "drawn")), 1.2) == [(1.2, "file")]
    assert settled(scene((0.3, "drawn")), 80.0) == [(0.3, "drawn")]
    assert settled(scene((0.3, "catalogue")), 1.2) == [(0.3, "catalogue")]
    assert settled(scene((0.3, "drawn"), (0.25, "drawn")), None, 1.0) == [(0.3, "drawn"), (1.0, "file")]
    assert settled(scene((0.3, "drawn"), (0.25, "drawn")), None, 1.9) == [(0.3, "drawn"), (0.25, "drawn")]
    with pytest.raises(ValueError, match="all objects of a scene"):
        dataclasses.replace(scene((0.3, "drawn")), objects=(*scene((0.3, "x")).objects, _bare()))


def _bare() -> PlacedObject:
    return PlacedObject(object=ObjectSpec(family="mug", seed=1))


def test_floors_have_boards_tiles_and_bricks_of_real_size() -> None:
    bounds = {"planks": (0.08, 0.2), "tiles": (0.1, 0.6), "bricks": (0.2, 0.25)}
    seen = set()
    for seed in range(300):
        for draw in (ground_surface, wall_surface):
            surface = draw(rng(seed, "floor"))
            if surface.kind in bounds:
                low, high = bounds[surface.kind]
                # A mug of 12 cm: its bounding sphere, a unit, is about 8 cm.
                cell = at_scale(ReceiverSpec(surface=surface), 0.08).surface.cell
                assert low - 1e-9 <= cell * 0.08 <= high + 1e-9
                seen.add(surface.kind)
            assert at_scale(ReceiverSpec(surface=surface), None).surface is surface
    assert seen == set(bounds)
