"""The catalogue: what is embedded, what a user's folders add, and what is refused."""

import ast
import hashlib
import sys
from pathlib import Path

import pytest

from pairbridge.datagen.assets.catalogue import Asset, AssetsConfig, Catalogue
from pairbridge.datagen.blender.families import FAMILIES
from pairbridge.datagen.core.errors import CatalogueError, ConfigError
from pairbridge.datagen.core.splits import SPLITS
from pairbridge.datagen.lighting.equirect import load_environment
from pairbridge.datagen.sourcing.placement import split_by_hash
from pairbridge.datagen.sourcing.sources import build_catalogue
from tests.public.readme_examples import glb
from tests.support.broken_photographs import png, scene

EMBEDDED = build_catalogue(AssetsConfig(), None)


def photo_folder(root: Path, *names: str) -> Path:
    """A photograph of its own for each name; text where the name is that of a text."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() if name.endswith(".txt") else png(scene(name)))
    return root


def of_folder(folder: Path, **more: object) -> Catalogue:
    return build_catalogue(AssetsConfig(embedded=False, photos=(folder,), **more), None)


def test_embedded_families_are_those_that_exist_and_two_whole_ones_are_held_out() -> None:
    listed = [asset for split in SPLITS for asset in EMBEDDED.of("family", split)]
    assert sorted(asset.id for asset in listed) == sorted(FAMILIES)
    assert len(FAMILIES) >= 8
    assert len(EMBEDDED.of("family", "test")) >= 2
    assert EMBEDDED.of("family", "validation")
    assert all(asset.family == asset.id for asset in listed)


def test_families_of_the_published_figures_keep_their_splits() -> None:
    sides = {split: {asset.id for asset in EMBEDDED.of("family", split)} for split in SPLITS}
    assert sides["test"] >= {"mug", "toy_car"}
    assert "guitar" in sides["validation"]
    assert sides["train"] >= {"chair", "table_lamp", "teapot", "vase", "potted_plant", "shoe", "camera"}
    tagged = [asset.id for asset in EMBEDDED.assets if "human" in asset.tags]
    assert tagged == ["mannequin"]
    assert len(FAMILIES) - len(tagged) >= 12


def test_the_test_side_has_whole_families_of_several_materials() -> None:
    held_out = {asset.id for asset in EMBEDDED.of("family", "test")}
    assert held_out >= {"drinking_glass", "fruit_bowl", "tin_can", "cushion"}
    assert len(held_out) >= 6
    assert len(EMBEDDED.of("family", "validation")) >= 3
    assert not held_out & {
        asset.id for split in ("train", "validation") for asset in EMBEDDED.of("family", split)
    }


def test_embedded_hdris_are_the_wheels_and_two_are_held_out() -> None:
    hdris = [asset for split in SPLITS for asset in EMBEDDED.lightings("hdri", split)]
    if not hdris:
        pytest.skip("bpy is not installed, and the HDRIs come with it")
    assert {asset.id for asset in hdris} == {
        *("city", "courtyard", "forest", "interior", "night", "studio", "sunrise", "sunset")
    }
    assert len(EMBEDDED.of("hdri", "test")) >= 2
    assert EMBEDDED.of("hdri", "validation")
    for asset in hdris:
        assert asset.licence == "CC0-1.0"
        assert hashlib.sha256(asset.path.read_bytes()).hexdigest() == asset.sha256
        assert load_environment(asset.path).mean_luminance > 0


def test_reading_the_catalogue_does_not_start_blender() -> None:
    assert "bpy" not in sys.modules


def test_embedded_photographs_have_licences_and_train_can_form_pairs() -> None:
    photos = [asset for split in SPLITS for asset in EMBEDDED.of("photo", split)]
    assert {asset.id for asset in photos} == {"astronaut", "chelsea", "coffee", "rocket"}
    assert len(EMBEDDED.of("photo", "train")) >= 2
    for asset in photos:
        assert asset.path.is_file()
        assert asset.licence != "unspecified"
        assert asset.author


def test_catalogue_code_imports_neither_ray_nor_bpy_nor_torch() -> None:
    for name in ("assets/catalogue", "sourcing/sources", "dataset/plan", "dataset/dataset_config"):
        tree = ast.parse((Path(__file__).parents[3] / "datagen" / f"{name}.py").read_text())
        imported = {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {module.split(".")[0] for module in imported} & {"ray", "bpy", "torch"}
        assert not any(module.startswith("pairbridge.pipelines") for module in imported)


def test_a_users_files_get_ids_hashes_and_splits_from_their_names_alone(tmp_path: Path) -> None:
    names = ["Red Chair.JPG", "a/b c.png", "x.webp", "notes.txt", "one.jfif"]
    catalogue = of_folder(photo_folder(tmp_path, *names))
    assert [asset.id for asset in catalogue.assets] == ["a-b-c", "one", "red-chair", "x"]
    red = catalogue.get("red-chair")
    assert red.sha256 == hashlib.sha256(png(scene("Red Chair.JPG"))).hexdigest()
    assert (red.licence, red.source) == ("unspecified", "Red Chair.JPG")
    assert red.split == split_by_hash("red-chair")
    elsewhere = of_folder(photo_folder(tmp_path / "moved", *names))
    assert elsewhere.digest == catalogue.digest


def test_splits_by_hash_are_eight_one_one() -> None:
    drawn = [split_by_hash(f"asset-{index}") for index in range(20_000)]
    shares = [drawn.count(split) / len(drawn) for split in SPLITS]
    # four standard deviations of a binomial share
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=4 * (0.16 / 20_000) ** 0.5)


def test_colliding_names_both_get_a_hash_and_adding_a_stranger_moves_nobody(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path, "cat.png", "cat.jpg", "dog.png")
    ids = [asset.id for asset in of_folder(folder).assets]
    assert len(set(ids)) == 3
    assert "dog" in ids
    assert sum(name.startswith("cat-") for name in ids) == 2
    photo_folder(tmp_path, "zebra.png")
    assert [asset.id for asset in of_folder(folder).assets if asset.id != "zebra"] == ids


def test_a_users_file_cannot_take_an_embedded_id(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path, "coffee.png")
    both = build_catalogue(AssetsConfig(photos=(folder,)), None)
    assert both.get("coffee").author != "unspecified"
    assert [asset.path for asset in both.assets if asset.id.startswith("coffee-")] == [folder / "coffee.png"]


def test_pins_set_split_and_licence(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path, "a.png", "b.png")
    (folder / "catalogue.yaml").write_text(
        "a: {split: test, licence: CC-BY-4.0, author: Jo}\nb: {split: test}\n"
    )
    catalogue = of_folder(folder)
    assert [asset.id for asset in catalogue.of("photo", "test")] == ["a", "b"]
    assert (catalogue.get("a").licence, catalogue.get("a").author) == ("CC-BY-4.0", "Jo")


@pytest.mark.parametrize(
    ("pins", "named"),
    [
        ("aa: {split: test}", "'a'"),
        ("a: {split: tets}", "tets"),
        ("a: {licens: CC0}", "licens"),
        ("a: test", "mapping"),
        ("- a", "mapping"),
        ("a: {split: [", "line 1: not valid YAML"),
        ("a: {licence: 4}", "licence"),
    ],
)
def test_wrong_pins_are_refused_by_name(tmp_path: Path, pins: str, named: str) -> None:
    folder = photo_folder(tmp_path, "a.png")
    (folder / "catalogue.yaml").write_text(pins)
    with pytest.raises(CatalogueError) as refused:
        of_folder(folder)
    assert named in str(refused.value)
    assert "catalogue.yaml" in refused.value.cause


def test_up_is_stated_by_folder_and_by_file(tmp_path: Path) -> None:
    square = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\n"
    ply = "ply\nformat ascii 1.0\nelement vertex 3\n" + "".join(f"property float {c}\n" for c in "xyz")
    ply += "element face 1\nproperty list uchar int vertex_indices\n"
    files = {
        "obj": square.encode(),
        "ply": f"{ply}end_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n".encode(),
        "stl": b"solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\n"
        b"endloop\nendfacet\nendsolid a\n",
        "glb": glb(square),
        "fbx": b"Kaydara FBX Binary",
        "usdc": b"PXR-USDC",
        "blend": b"BLENDER",
    }
    for suffix, data in files.items():
        (tmp_path / suffix).mkdir()
        (tmp_path / suffix / f"a.{suffix}").write_bytes(data)

    def ups() -> dict[str, str | None]:
        catalogue = build_catalogue(AssetsConfig(objects=(tmp_path,), embedded=False), None)
        assert all(asset.record()["up"] == asset.up for asset in catalogue.assets)
        return {asset.id.partition("-")[0]: asset.up for asset in catalogue.assets}

    defaults = {"obj": "y", "ply": "y", "stl": "z", "glb": "y", "fbx": None, "usdc": None, "blend": None}
    assert ups() == defaults
    (tmp_path / "catalogue.yaml").write_text('"*": {up: z}\nfbx-a: {up: y}\n')
    assert ups() == dict.fromkeys(defaults, "z") | {"fbx": "y"}
    (tmp_path / "catalogue.yaml").write_text("obj-a: {up: x}\n")
    with pytest.raises(CatalogueError, match="none of y, z"):
        ups()


def test_a_missing_folder_and_an_unknown_family_are_configuration_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        of_folder(tmp_path / "absent")
    with pytest.raises(ConfigError, match="zeppelin"):
        build_catalogue(AssetsConfig(families=("zeppelin",)), None)
    one = build_catalogue(AssetsConfig(families=(FAMILIES[0],)), None)
    assert [asset.id for split in SPLITS for asset in one.of("family", split)] == [FAMILIES[0]]


def test_a_split_that_lacks_assets_is_refused_with_the_counts(tmp_path: Path) -> None:
    folder = photo_folder(tmp_path, "a.png", "b.png")
    (folder / "catalogue.yaml").write_text("a: {split: train}\nb: {split: validation}\n")
    catalogue = of_folder(folder)
    assert [asset.id for asset in catalogue.require("photo", "train", "photos")] == ["a"]
    with pytest.raises(CatalogueError) as refused:
        catalogue.require("photo", "train", "photos", at_least=2)
    assert "train 1, validation 1, test 0" in refused.value.cause
    assert "'photos'" in refused.value.cause


def test_objects_of_a_family_resolve_to_it_and_unknown_ids_are_errors() -> None:
    assert EMBEDDED.get(f"{FAMILIES[0]}:123456") is EMBEDDED.get(FAMILIES[0])
    with pytest.raises(CatalogueError, match="nobody"):
        EMBEDDED.get("nobody")


@pytest.mark.parametrize("names", [("a", "a"), ("UPPER",), ("dot.dot",), ("",)])
def test_ids_must_be_unique_and_safe(names: tuple[str, ...]) -> None:
    assets = tuple(
        Asset(id=name, kind="photo", split="train", licence="", author="", source="", sha256="")
        for name in names
    )
    with pytest.raises(CatalogueError):
        Catalogue(assets)


def test_a_front_is_stated_by_family_and_by_file_and_is_an_angle(tmp_path: Path) -> None:
    (tmp_path / "chair.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 1\nf 1 2 3\n")
    config = AssetsConfig(objects=(tmp_path,))
    (tmp_path / "catalogue.yaml").write_text('"*": {front: 45}\n')
    found = build_catalogue(config, None)
    [own] = [asset for asset in found.assets if asset.kind == "object"]
    assert own.front == 45
    assert found.get("camera").front == -90
    assert found.get("vase").front is None
    (tmp_path / "catalogue.yaml").write_text('"*": {front: left}\n')
    with pytest.raises(CatalogueError, match="no angle in degrees"):
        build_catalogue(config, None)
