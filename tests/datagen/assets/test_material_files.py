"""Materials from folders of maps: what is recognised, how it stands in the catalogue, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pairbridge.datagen.assets.catalogue import AssetsConfig, Catalogue, LeftOut
from pairbridge.datagen.assets.exr_files import write_exr
from pairbridge.datagen.assets.files_in_use import AssetChanged, FilesInUse, ProvenCatalogue
from pairbridge.datagen.assets.material_maps import material_maps
from pairbridge.datagen.core.errors import CatalogueError, ConfigError
from pairbridge.datagen.sourcing.sources import build_catalogue
from tests.support.tiny_materials import AMBIENTCG, BLENDERKIT, POLYHAVEN, SIDE, level, write_material

DOWNLOADS = {"ambientcg": AMBIENTCG, "polyhaven": POLYHAVEN, "blenderkit": BLENDERKIT}


def of_folder(folder: Path, **more: object) -> Catalogue:
    return build_catalogue(AssetsConfig(embedded=False, materials=(folder,), **more), None)


def refused(folder: Path, **more: object) -> LeftOut:
    catalogue = of_folder(folder, **more)
    assert catalogue.assets == ()
    (left,) = catalogue.left_out
    return left


@pytest.mark.parametrize("site", DOWNLOADS)
def test_the_maps_of_a_download_are_told_by_their_names(site: str, tmp_path: Path) -> None:
    names = DOWNLOADS[site]
    folder = write_material(tmp_path / "one", names)
    Image.fromarray(level(9)).save(folder / f"{names['albedo'].split('_')[0]} preview.jpg")
    (asset,) = of_folder(tmp_path).assets
    assert (asset.kind, asset.id, asset.path) == ("material", "one", folder / names["albedo"])
    found = material_maps(asset.path)
    assert {role: path.name for role, path in found.items()} == names
    assert asset.beside.startswith(f"{len(names) - 1}-")


def test_several_materials_lie_in_one_folder_and_resolutions_of_one_in_one_split(tmp_path: Path) -> None:
    write_material(tmp_path, {"albedo": "oak_diff_1k.png", "roughness": "oak_rough_1k.png"})
    write_material(tmp_path, {"albedo": "oak_diff_2k.png", "roughness": "oak_rough_2k.png"})
    other = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    write_material(tmp_path, {"albedo": "tar_Albedo.jpg", "normal": "tar_Normal.jpg"}, albedo=other)
    assets = {asset.id: asset for asset in of_folder(tmp_path).assets}
    assert set(assets) == {"oak_1k", "oak_2k", "tar"}
    assert material_maps(assets["oak_2k"].path)["roughness"].name == "oak_rough_2k.png"
    assert assets["oak_1k"].group == assets["oak_2k"].group != assets["tar"].group


def test_a_folders_catalogue_states_size_licence_and_split(tmp_path: Path) -> None:
    write_material(tmp_path / "oak", POLYHAVEN)
    (tmp_path / "catalogue.yaml").write_text("oak: {size_m: 1.5, licence: CC0-1.0, split: test}")
    (asset,) = of_folder(tmp_path).assets
    assert (asset.size_m, asset.licence, asset.split) == (1.5, "CC0-1.0", "test")
    assert asset.record()["size_m"] == 1.5
    (tmp_path / "catalogue.yaml").write_text("oak: {size_m: -1}")
    with pytest.raises(CatalogueError, match="no length in metres"):
        of_folder(tmp_path)


def test_what_cannot_be_used_is_left_out_by_name(tmp_path: Path) -> None:
    lacking = write_material(tmp_path / "a", {"roughness": "x_Roughness.png", "normal": "x_Normal.png"})
    assert refused(lacking).fault == "missing_albedo"
    wide = np.zeros((SIDE, 2 * SIDE, 3), np.uint8)
    shapes = write_material(tmp_path / "b", AMBIENTCG, roughness=wide)
    assert refused(shapes).fault == "sizes_disagree"
    broken = write_material(tmp_path / "c", POLYHAVEN)
    (broken / POLYHAVEN["arm"]).write_bytes((broken / POLYHAVEN["arm"]).read_bytes()[:-30])
    assert refused(broken).fault == "damaged"
    holes = write_material(tmp_path / "d", {**POLYHAVEN, "opacity": "oak_veneer_01_opacity_2k.png"})
    assert refused(holes).fault == "transparent"
    large = write_material(tmp_path / "e", POLYHAVEN)
    assert refused(large, object_rules={"max_texture_side": 16}).fault == "texture_too_large"
    with pytest.raises(ConfigError, match="no folder"):
        of_folder(tmp_path / "nowhere")


def test_an_opacity_map_that_is_white_changes_nothing(tmp_path: Path) -> None:
    names = {**POLYHAVEN, "opacity": "oak_veneer_01_Opacity_2k.png"}
    write_material(tmp_path / "one", names, opacity=level(255))
    assert len(of_folder(tmp_path).assets) == 1


def test_maps_may_be_tiff_or_exr_and_of_less_resolution(tmp_path: Path) -> None:
    folder = write_material(
        tmp_path / "one", {"albedo": "slate_diff_4k.jpg", "normal": "slate_nor_dx_4k.tif"}
    )
    write_exr(folder / "slate_rough_4k.exr", np.full((SIDE // 2, SIDE // 2, 3), 0.3, np.float32))
    (asset,) = of_folder(tmp_path).assets
    assert set(material_maps(asset.path)) == {"albedo", "normal_dx", "roughness"}


def test_another_byte_in_any_map_is_found_while_samples_are_made(tmp_path: Path) -> None:
    folder = write_material(tmp_path / "one", POLYHAVEN)
    catalogue = of_folder(tmp_path)
    files = FilesInUse()
    proven = ProvenCatalogue(catalogue.assets, files=files)
    assert proven.get("one").path == folder / POLYHAVEN["albedo"]
    write_material(folder, {"normal": POLYHAVEN["normal"]}, normal=level((100, 128, 255)))
    files.begin()
    with pytest.raises(AssetChanged, match="nor_gl"):
        proven.get("one")
    assert catalogue.digest != of_folder(tmp_path).digest
