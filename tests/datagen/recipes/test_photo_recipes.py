"""The recipes on photographs, through plan and workbench, on small photographs of known content."""

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pairbridge.datagen.core.errors import AssetError, CatalogueError, Rejected
from pairbridge.datagen.imaging.fill import fill_noise
from pairbridge.datagen.imaging.pasting import paste_relit
from pairbridge.datagen.models.relighting import ColourTransferConfig, open_relighter
from pairbridge.datagen.shards.sample import encode_field
from tests.support.icc_profiles import DISPLAY_P3, matrix_profile
from tests.support.tiny_photos import (
    SIZE,
    behind_of,
    disc_photo,
    made,
    plan_of,
    workbench_of,
    write_photo_assets,
)

STILL = {name: [0, 0] for name in ("lightness", "chroma", "sides", "slope_stops", "exposure_stops")}
STILL |= {"kind": "colour_transfer", "tint": 0}


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo_assets(tmp_path_factory.mktemp("assets"))


def encoded(pair: dict) -> dict[str, bytes]:
    return {field: encode_field(field, value) for field, value in pair.items()}


@pytest.fixture(scope="module")
def relit(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> list:
    return made(plan_of(assets, kind="photo_relighting"), tmp_path_factory.mktemp("relit"))


def test_the_background_is_the_photographs_own_byte_for_byte(relit: list) -> None:
    assert len(relit) == 16
    for pair in relit:
        source, target, mask = (pair[f"{name}.png"] for name in ("source", "target", "mask"))
        assert source.shape == target.shape == (SIZE, SIZE, 3)
        assert mask.shape == (SIZE, SIZE)
        assert (mask == 0).mean() > 0.1
        assert (source[mask == 0] == target[mask == 0]).all()


def test_the_foreground_is_the_relighters(assets: Path, relit: list, tmp_path: Path) -> None:
    plan = plan_of(assets, kind="photo_relighting")
    relighter = open_relighter(ColourTransferConfig())
    with workbench_of(plan, tmp_path) as workbench:
        for pair in relit:
            params = json.loads(pair["meta.json"]["params"])
            behind = behind_of(plan, params, workbench)
            target, mask = pair["target.png"], pair["mask.png"]
            again = relighter.relight(target, mask.astype(np.float32) / 255, behind, params["relight_seed"])
            solid = mask == 255
            assert solid.mean() > 0.03
            assert (pair["source.png"][solid] == again[solid]).all()
            assert (pair["source.png"] == paste_relit(target, again, mask)).all()
            assert params["change"] > 4


def test_the_target_is_the_untouched_photograph(assets: Path, tmp_path: Path) -> None:
    plan = plan_of(assets, kind="photo_relighting", size_WH=[140, 120], crop=[1, 1], flip=0)
    for pair in made(plan, tmp_path, [0, 1]):
        assert (pair["target.png"] == disc_photo(pair["meta.json"]["assets"][0]["id"])).all()


def test_provenance_names_the_stand_ins_and_both_parents(relit: list) -> None:
    keys = [pair["meta.json"]["key"] for pair in relit]
    assert keys == [f"r-train-{number:08d}" for number in range(16)]
    kinds = set()
    for pair in relit:
        meta = pair["meta.json"]
        assert meta["mask_source"] == "grabcut (stand-in)"
        assert meta["relighter"] == "colour-transfer (stand-in)"
        photo, behind = meta["assets"]
        assert photo["id"] != behind["id"]
        assert photo["licence"] == "CC0-1.0"
        params = json.loads(meta["params"])
        for tool in ("matting", "relighter"):
            assert params[tool]["is_stand_in"] is True
            assert params[tool]["revision"].startswith("opencv-4")
        kinds.add(params["background"]["kind"])
    assert kinds == {"photo", "hdri"}


def test_groups_are_functions_of_the_plan_alone(assets: Path, relit: list, tmp_path: Path) -> None:
    plan = plan_of(assets, kind="photo_relighting")
    cv2.setRNGSeed(999)
    backwards = made(plan, tmp_path, [7, 3, 0])
    for place, group in enumerate((7, 3, 0)):
        for number in range(2):
            assert encoded(backwards[2 * place + number]) == encoded(relit[2 * group + number])
    other = plan_of(assets, seed=2, kind="photo_relighting")
    assert other.group(other.streams[0], 0).params != plan.group(plan.streams[0], 0).params


def test_plans_are_json_and_cheap(assets: Path) -> None:
    for kind in ("photo_relighting", "photo_removal", "composite_removal"):
        plan = plan_of(assets, kind=kind)
        params = plan.group(plan.streams[0], 5).params
        assert json.loads(json.dumps(params)) == params
        begun = time.perf_counter()
        for group in range(200):
            plan.group(plan.streams[0], group)
        assert (time.perf_counter() - begun) / 200 < 1e-3 * 3  # room for a busy machine


def test_two_parents_come_from_one_split(assets: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="at least 2"):
        plan_of(assets, kind="photo_relighting", groups={"test": 2})
    alone = plan_of(
        assets,
        kind="photo_relighting",
        groups={"train": 30, "test": 2},
        background_from_of_split={"test": {"hdri": 1}},
    )
    splits = {asset.id: asset.split for asset in alone.catalogue.assets}
    for stream in alone.streams:
        for group in range(stream.num_groups):
            params = alone.group(stream, group).params
            used = {params["photo"], *(pair["background"]["id"] for pair in params["pairs"])}
            assert {splits[asset] for asset in used} == {stream.split}
            assert all(pair["background"]["id"] != params["photo"] for pair in params["pairs"])


@pytest.fixture
def odd_photos(tmp_path: Path) -> Path:
    """Four photographs: a good one, one without a subject, a broken one, one that is too small."""
    folder = tmp_path / "odd"
    folder.mkdir()
    cv2.imwrite(str(folder / "good.png"), disc_photo("a"))
    cv2.imwrite(str(folder / "empty.png"), np.full((120, 140, 3), 77, np.uint8))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    cv2.imwrite(str(folder / "tiny.png"), cv2.resize(disc_photo("a"), (40, 40)))
    names = ("good", "empty", "broken", "tiny")
    (folder / "catalogue.yaml").write_text("\n".join(f"{name}: {{split: train}}" for name in names))
    return folder


def test_bad_photographs_are_refused_by_name_and_the_rest_is_made(
    assets: Path, odd_photos: Path, tmp_path: Path
) -> None:
    plan = plan_of(
        assets,
        odd_photos,
        kind="photo_relighting",
        groups={"train": 24},
        background_from={"hdri": 1},
        pairs_per_group=1,
    )
    stream, outcome = plan.streams[0], {}
    with workbench_of(plan, tmp_path) as workbench:
        for group in range(stream.num_groups):
            spec = plan.group(stream, group)
            try:
                (result,) = plan.recipes["r"].make(spec, workbench)
            except (Rejected, AssetError) as error:
                result = error
            outcome.setdefault(spec.params["photo"], []).append(result)
    assert all(isinstance(result, dict) for result in outcome["good"])
    assert all("photograph empty: grabcut found no foreground" in str(error) for error in outcome["empty"])
    assert "broken" not in outcome
    assert [left.id for left in plan.catalogue.left_out] == ["broken"]
    assert "broken.png" in plan.catalogue.left_out[0].reason
    assert all(isinstance(error, Rejected) and "40x40" in str(error) for error in outcome["tiny"])


def test_a_pair_that_changes_nothing_is_refused(assets: Path, tmp_path: Path) -> None:
    for refused in made(plan_of(assets, kind="photo_relighting", relighter=STILL), tmp_path, [0]):
        assert isinstance(refused, Rejected)
        assert "changed the foreground by" in refused.cause


def test_coverage_outside_the_bounds_is_refused(assets: Path, tmp_path: Path) -> None:
    for refused in made(plan_of(assets, kind="photo_relighting", coverage=[0.01, 0.02]), tmp_path, [0]):
        assert isinstance(refused, Rejected)
        assert "outside 0.01 to 0.02" in refused.cause


def test_a_removal_pair_is_filled_from_what_is_stored(assets: Path, tmp_path: Path) -> None:
    lean = made(plan_of(assets, kind="photo_removal"), tmp_path / "lean")
    full = made(plan_of(assets, kind="photo_removal", store_source=True), tmp_path / "full")
    seeds = set()
    for without, stored in zip(lean, full, strict=True):
        assert sorted(without) == ["mask.png", "meta.json", "target.png"]
        assert sorted(stored) == ["mask.png", "meta.json", "source.png", "target.png"]
        params = json.loads(without["meta.json"]["params"])
        filled = fill_noise(without["target.png"], without["mask.png"], params["fill_seed"])
        assert (filled == stored["source.png"]).all()
        assert params["mask"]["area"] == pytest.approx((without["mask.png"] > 0).mean())
        assert without["meta.json"]["relighter"] == "none"
        seeds.add(params["fill_seed"])
    assert len(seeds) == len(lean) == 16


@pytest.fixture(scope="module")
def composites(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """With the relighter, and with one that changes nothing."""
    asked = {"kind": "composite_removal", "span": [0.4, 0.6], "mask_grow": [0.02, 0.05], "crop": [1, 1]}
    return {
        name: made(plan_of(assets, **asked, **own), tmp_path_factory.mktemp(name), [0, 1, 2, 3])
        for name, own in {"relit": {}, "still": {"relighter": STILL}}.items()
    }


def test_a_composite_is_the_untouched_photograph_but_for_a_cut_out(composites: dict[str, list]) -> None:
    for pair in composites["relit"]:
        source, target, mask, visible = (
            pair[f"{name}.png"] for name in ("source", "target", "mask", "visible")
        )
        meta, params = pair["meta.json"], json.loads(pair["meta.json"]["params"])
        x, y, width, height = params["crop"]["box_xywh"]
        photo = disc_photo(meta["assets"][0]["id"])[y : y + height, x : x + width]
        cut = cv2.resize(photo, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        assert (target == (cut[:, ::-1] if params["flip"] else cut)).all()
        assert (source[visible == 0] == target[visible == 0]).all()
        assert mask[visible > 0].all()
        assert (mask > 0).sum() > (visible > 0).sum()
        left, top, wide, high = params["cut_out"]["place_xywh"]
        assert max(wide, high) == round(params["cut_out"]["span"] * SIZE)
        assert visible[top : top + high, left : left + wide].sum() == visible.sum() > 0


def test_a_cut_out_has_the_colours_of_its_photograph_until_it_is_relit(composites: dict[str, list]) -> None:
    away: dict[str, list[float]] = {"relit": [], "still": []}
    for name, pairs in composites.items():
        for pair in pairs:
            own = disc_photo(json.loads(pair["meta.json"]["params"])["cut_out"]["id"])[50:78, 56:84]
            shown = pair["source.png"][pair["visible.png"] == 255]
            away[name].append(float(np.abs(shown.mean(axis=0) - own.mean(axis=(0, 1))).max()))
    assert max(away["still"]) < 3
    assert np.mean(away["relit"]) > 10


def test_composites_say_that_they_are_some_and_repeat(
    composites: dict[str, list], assets: Path, tmp_path: Path
) -> None:
    for pair in composites["relit"]:
        meta, params = pair["meta.json"], json.loads(pair["meta.json"]["params"])
        assert params["composite"] is True
        assert (meta["mask_source"], meta["relighter"]) == (
            "grabcut (stand-in)",
            "colour-transfer (stand-in)",
        )
        assert [asset["role"] for asset in meta["assets"]] == ["photograph", "cut-out"]
        assert meta["assets"][0]["id"] != meta["assets"][1]["id"] == params["cut_out"]["id"]
    asked = {"kind": "composite_removal", "span": [0.4, 0.6], "mask_grow": [0.02, 0.05], "crop": [1, 1]}
    again = made(plan_of(assets, **asked), tmp_path, [3])
    assert [encoded(pair) for pair in again] == [encoded(pair) for pair in composites["relit"][6:]]


def test_a_cut_out_that_its_photograph_shows_too_small_is_refused(assets: Path, tmp_path: Path) -> None:
    large = made(plan_of(assets, kind="composite_removal", span=[1, 1], max_enlargement=0.9), tmp_path, [0])
    assert all(isinstance(pair, Rejected) and "it would be enlarged" in pair.cause for pair in large)
    strict = plan_of(assets, kind="composite_removal", gates={"coverage": [0.6, 0.9]})
    assert all("outside 0.6 to 0.9" in pair.cause for pair in made(strict, tmp_path, [0]))
    with pytest.raises(CatalogueError, match="at least 2"):
        plan_of(assets, kind="composite_removal", groups={"test": 1})


def test_recipes_state_their_fields(assets: Path) -> None:
    for recipe, source in (
        ({"kind": "photo_relighting"}, True),
        ({"kind": "photo_removal"}, False),
        ({"kind": "photo_removal", "store_source": True}, True),
    ):
        fields = plan_of(assets, **recipe).streams[0].fields
        assert fields == tuple(sorted(fields))
        assert ("source.png" in fields) == source


def test_removal_masks_avoid_the_subject_on_request(assets: Path, tmp_path: Path) -> None:
    plan = plan_of(
        assets, kind="photo_removal", mask={"mode": "avoid_foreground"}, size_WH=[140, 120], crop=[1, 1]
    )
    pairs = made(plan, tmp_path)
    disc = cv2.circle(np.zeros((120, 140), np.uint8), (70, 64), 30, 1, -1) > 0
    for pair in pairs:
        hole = pair["mask.png"] > 0
        flipped = json.loads(pair["meta.json"]["params"])["flip"]
        inside = disc[:, ::-1] if flipped else disc
        assert (hole & inside).sum() / hole.sum() < 0.03
        assert "grabcut (stand-in)" in pair["meta.json"]["mask_source"]


def test_colours_that_a_photograph_was_converted_from_are_recorded(tmp_path: Path) -> None:
    assets = write_photo_assets(tmp_path)
    path = assets / "photos" / "a.png"
    profile = matrix_profile(DISPLAY_P3, 2.2, "Display P3")
    Image.open(path).save(path, icc_profile=profile)
    plan = plan_of(assets, kind="photo_relighting")
    stated = {
        entry["id"]: entry["converted_from"]
        for pair in made(plan, tmp_path / "made")
        for entry in pair["meta.json"]["assets"]
    }
    assert stated.pop("a") == "ICC profile 'Display P3'"
    # The key is there for every asset, as Hugging Face datasets wants it.
    assert set(stated.values()) == {""}
    assert {"b", "c"} <= stated.keys()


def test_outlines_of_other_photographs_become_masks_and_are_recorded(assets: Path, tmp_path: Path) -> None:
    shapes = {"strokes": 0.5, "silhouettes": 0.5}
    plan = plan_of(assets, kind="photo_removal", mask={"shapes": shapes}, groups={"train": 12})
    kinds = set()
    for pair in made(plan, tmp_path):
        meta = pair["meta.json"]
        params = json.loads(meta["params"])
        kinds.add(params["mask"]["kind"])
        assert meta["mask_source"] == "random strokes, outlines of what grabcut (stand-in) found elsewhere"
        assert params["matting"]["name"] == "grabcut"
        used = {asset["role"]: asset["id"] for asset in meta["assets"]}
        assert used["photograph"] != params["outline_of"]
        assert {plan.catalogue.get(asset_id).split for asset_id in used.values()} == {"train"}
        if params["mask"]["kind"] == "silhouettes":
            assert used["outline"] == params["outline_of"]
            # Subjects are discs: an outline that the frame does not cut is one too.
            hole = (pair["mask.png"] > 0).astype(np.uint8)
            x, y, width, height = cv2.boundingRect(hole)
            if x and y and x + width < SIZE and y + height < SIZE:
                assert 0.7 < hole.sum() / (width * height * np.pi / 4) < 1.15
        else:
            assert "outline" not in used
    assert kinds == {"strokes", "silhouettes"}
    with pytest.raises(CatalogueError, match="at least 2"):
        plan_of(assets, kind="photo_removal", mask={"shapes": shapes}, groups={"test": 1})


def test_an_outline_that_is_not_there_costs_its_pairs_by_name(
    assets: Path, odd_photos: Path, tmp_path: Path
) -> None:
    for name in ("broken", "tiny"):
        (odd_photos / f"{name}.png").unlink()
    (odd_photos / "catalogue.yaml").write_text("good: {split: train}\nempty: {split: train}")
    plan = plan_of(assets, odd_photos, kind="photo_removal", mask={"shapes": {"silhouettes": 1}})
    for pair in made(plan, tmp_path):
        if isinstance(pair, Rejected):
            assert "photograph empty: grabcut found no foreground" in pair.cause
        else:
            assert json.loads(pair["meta.json"]["params"])["outline_of"] == "good"


def test_a_photograph_without_a_subject_has_masks_anywhere(
    assets: Path, odd_photos: Path, tmp_path: Path
) -> None:
    for name in ("good", "broken", "tiny"):
        (odd_photos / f"{name}.png").unlink()
    (odd_photos / "catalogue.yaml").write_text("empty: {split: train}")
    plan = plan_of(assets, odd_photos, kind="photo_removal", mask={"mode": "avoid_foreground"})
    for pair in made(plan, tmp_path, [0, 1]):
        assert json.loads(pair["meta.json"]["params"])["foreground_found"] is False
        assert pair["mask.png"].any()
