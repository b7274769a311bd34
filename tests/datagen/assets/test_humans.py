"""People in a catalogue: tags of files, folders and families, and the share that a recipe asks for."""

from pathlib import Path

import pytest

from pairbridge.datagen.assets.catalogue import AssetsConfig, Catalogue
from pairbridge.datagen.core.errors import CatalogueError
from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.recipes import RECIPES
from pairbridge.datagen.recipes.object_draws import ObjectShares, draw_object
from pairbridge.datagen.sourcing.sources import build_catalogue


def folder_of(root: Path, *names: str, pins: str) -> Path:
    root.mkdir()
    for name in names:
        (root / f"{name}.obj").write_text(f"# {name}\nv 0 0 0\n")
    (root / "catalogue.yaml").write_text(pins)
    return root


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """Two things and two people in folders, beside two families."""
    people = folder_of(
        tmp_path / "people", "ada", "ben", pins='"*": {tags: [human], split: train, licence: CC0-1.0}\n'
    )
    things = folder_of(tmp_path / "things", "cup", "box", pins="cup: {split: train}\nbox: {split: train}\n")
    return build_catalogue(AssetsConfig(objects=(people, things), families=("vase", "chair")), None)


def drawn(catalogue: Catalogue, **shares: float) -> list[str]:
    draw = rng(0, "objects")
    return [draw_object(draw, catalogue, "train", ObjectShares(**shares)) for _ in range(2000)]


def is_person(object_id: str) -> bool:
    return object_id in ("ada", "ben")


def test_a_whole_folder_is_tagged_by_one_line(catalogue: Catalogue) -> None:
    assert [a.id for a in catalogue.tagged("object", "train", "human", tagged=True)] == ["ada", "ben"]
    assert [a.id for a in catalogue.tagged("object", "train", "human", tagged=False)] == ["box", "cup"]
    assert catalogue.get("ada").licence == "CC0-1.0"
    assert catalogue.get("ada").record()["tags"] == ["human"]


def test_people_look_along_minus_y_unless_it_is_said(tmp_path: Path) -> None:
    people = folder_of(
        tmp_path / "people", "ada", "ben", pins='"*": {tags: [human], split: train}\nben: {front: 0}\n'
    )
    found = build_catalogue(AssetsConfig(objects=(people,), families=("vase",)), None)
    assert (found.get("ada").front, found.get("ben").front) == (-90.0, 0.0)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_recipe_draws_people_at_the_share_it_names(catalogue: Catalogue, share: float) -> None:
    ids = drawn(catalogue, humans_share=share)
    # four standard deviations of a binomial share
    assert sum(map(is_person, ids)) / len(ids) == pytest.approx(
        share, abs=4 * (share * (1 - share) / 2000) ** 0.5
    )
    assert {name for name in ids if not is_person(name)} & {"cup", "box"} or share == 1.0


def test_without_a_share_people_are_drawn_like_any_other_object(catalogue: Catalogue) -> None:
    ids = drawn(catalogue)
    assert sum(map(is_person, ids)) / len(ids) == pytest.approx(0.25, abs=0.04)


def test_wrong_tags_are_refused_by_name(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", "x", pins="x: {tags: human}\n")
    with pytest.raises(CatalogueError, match="list of words"):
        build_catalogue(AssetsConfig(embedded=False, objects=(folder,)), None)


def test_every_recipe_that_renders_objects_takes_a_share_of_people() -> None:
    taking = {kind for kind, (config, _) in RECIPES.items() if issubclass(config, ObjectShares)}
    rendering = {"relighting_swap", "object_removal", "shadow_generation", "controllable_relighting"}
    assert taking >= rendering | {"geometry"}
