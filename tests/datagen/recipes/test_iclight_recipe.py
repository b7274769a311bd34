"""The photograph recipe with IC-Light in the relighter's seat, and with relighters that fail in every way."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from pairbridge.datagen.core.errors import Rejected
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.imaging.pasting import paste_relit
from pairbridge.datagen.models.relighting import IcLightFbcConfig, ToRelight, open_relighter, relit_images
from tests.support.tiny_iclight import BASE, write_weights
from tests.support.tiny_photos import behind_of, disc_photo, made, plan_of, workbench_of, write_photo_assets


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo_assets(tmp_path_factory.mktemp("assets"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


def tiny(weights: Path, **changes: object) -> dict:
    """A relighter's YAML. Its networks are random, so the recipe's structure gate must be open for it."""
    return {
        "kind": "iclight_fbc",
        "weights_root": str(weights),
        "base": BASE,
        "resolution": 64,
        "steps": 2,
        "second_pass": None,
        **changes,
    }


def relit_plan(assets: Path, relighter: dict, **recipe: object) -> DatasetPlan:
    return plan_of(
        assets,
        **{
            "kind": "photo_relighting",
            "groups": {"train": 3},
            "size_WH": [80, 56],
            "relighter": relighter,
            "min_structure": -1,
            **recipe,
        },
    )


def test_paste_back_is_exact_on_both_sides(assets: Path, weights: Path, tmp_path: Path) -> None:
    plan = relit_plan(assets, tiny(weights), pairs_per_group=1)
    relighter = open_relighter(plan.recipes["r"].config.relighter)
    for pair in made(plan, tmp_path):
        source, target, mask = (pair[f"{name}.png"] for name in ("source", "target", "mask"))
        assert (source[mask == 0] == target[mask == 0]).all()
        assert (mask == 0).mean() > 0.1
        params = json.loads(pair["meta.json"]["params"])
        behind = _behind(plan, params, tmp_path)
        alpha = mask.astype(np.float32) / 255
        again = relighter.relight(target, alpha, behind, params["relight_seed"])
        assert (source[mask == 255] == again[mask == 255]).all()
        assert (source == paste_relit(target, again, mask)).all()
        assert (mask == 255).mean() > 0.03


def _behind(plan: DatasetPlan, params: dict, root: Path) -> np.ndarray:
    with workbench_of(plan, root) as workbench:
        return behind_of(plan, params, workbench)


def test_samples_name_model_revision_and_settings_and_no_place(
    assets: Path, weights: Path, tmp_path: Path
) -> None:
    relighter = tiny(weights, detail={"method": "ratio"}, second_pass={"scale": 1.5})
    for pair in made(relit_plan(assets, relighter), tmp_path, [0]):
        meta = pair["meta.json"]
        assert meta["relighter"] == "ic-light-fbc"
        assert meta["mask_source"] == "grabcut (stand-in)"
        recorded = json.loads(meta["params"])["relighter"]
        assert recorded["is_stand_in"] is False
        assert recorded["revision"].startswith("ic-light@sha256:")
        assert f" on {BASE}@sha256:" in recorded["revision"]
        settings = recorded["settings"]
        assert settings["beta_schedule"] == "linear"
        assert settings["guidance"] == 7
        assert settings["second_pass"] == {"scale": 1.5, "strength": 0.5}
        assert settings["detail"] == {"method": "ratio", "sigma_px": 1.0}
        assert str(weights) not in json.dumps(meta)


def test_a_dataset_is_the_same_wherever_its_weights_lie(assets: Path, weights: Path, tmp_path: Path) -> None:
    here = relit_plan(assets, tiny(weights))
    there = relit_plan(assets, tiny(tmp_path / "elsewhere", loaded="in_turn"))
    assert here.digest == there.digest
    assert here.config.digest == there.config.digest
    assert here.config.digest != relit_plan(assets, tiny(weights, steps=3)).config.digest


def test_a_group_is_relit_together_and_equals_its_pairs_alone(
    assets: Path, weights: Path, tmp_path: Path
) -> None:
    together = made(relit_plan(assets, tiny(weights, batch=4)), tmp_path / "a", [0, 1])
    alone = made(relit_plan(assets, tiny(weights, batch=1)), tmp_path / "b", [0, 1])
    for first, second in zip(together, alone, strict=True):
        assert first["meta.json"]["key"] == second["meta.json"]["key"]
        assert np.abs(first["source.png"].astype(int) - second["source.png"]).max() <= 2


def test_drifted_edges_are_a_rejection(assets: Path, weights: Path, tmp_path: Path) -> None:
    """Random networks paint noise, which is as far as edges can drift."""
    for refused in made(relit_plan(assets, tiny(weights), min_structure=0.4), tmp_path, [0]):
        assert isinstance(refused, Rejected)
        assert "lost its edges: structure" in refused.cause


class Failing:
    """A batch relighter, each of whose answers is another failure; `sound` ones copy the background."""

    name, revision, is_stand_in, batch = "failing", "0", False, 8

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers, self.sizes = list(answers), []

    def relight(self, image, alpha, background, seed):
        raise AssertionError("a batch relighter is asked for batches")

    def relight_batch(self, requests: Sequence[ToRelight]) -> list[np.ndarray | Rejected]:
        self.sizes.append(len(requests))
        return [self._answer(self.answers.pop(0), request) for request in requests]

    def _answer(self, kind: str, request: ToRelight) -> np.ndarray | Rejected:
        return {
            "sound": lambda: 255 - request.image // 2,
            "another size": lambda: request.image[:, :-8],
            "another type": lambda: request.image.astype(np.float32),
            "refused": lambda: Rejected("it would not", consequence="none", remedy="none"),
        }[kind]()


def test_a_relighter_that_fails_costs_its_pairs_by_name_and_no_others(assets: Path, tmp_path: Path) -> None:
    plan = relit_plan(
        assets, {"kind": "colour_transfer"}, pairs_per_group=5, crop=[1, 1], background_from={"hdri": 1}
    )
    answers = ["sound", "another size", "another type", "refused", "sound"]
    failing = Failing(answers)
    with workbench_of(plan, tmp_path) as workbench:
        workbench._relighters[plan.recipes["r"].config.relighter] = failing
        pairs = plan.recipes["r"].make(plan.group(plan.streams[0], 0), workbench)
    assert failing.sizes == [5]
    assert [isinstance(pair, Rejected) for pair in pairs] == [answer != "sound" for answer in answers]
    assert pairs[1].cause == "failing gave uint8 (56, 72, 3) for an image of uint8 (56, 80, 3)"
    assert pairs[2].cause == "failing gave float32 (56, 80, 3) for an image of uint8 (56, 80, 3)"
    assert pairs[3].cause == "it would not"
    assert [pairs[n]["meta.json"]["pair"] for n in (0, 4)] == [0, 4]


def test_batches_are_no_larger_than_the_relighter_says() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    failing = Failing(["sound"] * 7)
    failing.batch = 3
    requests = [ToRelight(image + n, image[..., 0], image, n) for n in range(7)]
    relit = relit_images(failing, requests)
    assert failing.sizes == [3, 3, 1]
    assert [int(one[0, 0, 0]) for one in relit] == [255 - n // 2 for n in range(7)]


def test_the_other_photographs_subject_stays_or_goes_and_that_is_recorded(
    assets: Path, tmp_path: Path
) -> None:
    colours = {}
    for background in ("as_is", "inpainted"):
        plan = plan_of(
            assets,
            kind="photo_relighting",
            background=background,
            background_from={"photo": 1},
            crop=[1, 1],
            groups={"train": 4},
        )
        for pair in made(plan, tmp_path / background):
            params = json.loads(pair["meta.json"]["params"])
            assert params["background"]["foreground"] == background
            colours.setdefault(background, []).append(_behind(plan, params, tmp_path / background))
    for as_is, inpainted in zip(colours["as_is"], colours["inpainted"], strict=True):
        centre = np.s_[44:60, 40:56]
        assert as_is[centre].std(axis=(0, 1)).min() > 5  # the speckled disc
        assert inpainted[centre].std(axis=(0, 1)).max() < 2  # the wall, carried in


def test_a_background_without_subject_is_taken_as_it_is(assets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "subject.png"), disc_photo("a")[..., ::-1])
    ramp = np.linspace(20, 230, 140).astype(np.uint8)[None, :, None].repeat(120, 0).repeat(3, 2)
    cv2.imwrite(str(folder / "view.png"), ramp)
    (folder / "catalogue.yaml").write_text("subject: {split: train}\nview: {split: train}")
    plan = plan_of(
        assets,
        folder,
        kind="photo_relighting",
        background="inpainted",
        background_from={"photo": 1},
        groups={"train": 6},
    )
    made_of = {}
    with workbench_of(plan, tmp_path) as workbench:
        for group in range(6):
            spec = plan.group(plan.streams[0], group)
            try:
                made_of.setdefault(spec.params["photo"], []).extend(plan.recipes["r"].make(spec, workbench))
            except Rejected as refused:
                made_of.setdefault(spec.params["photo"], []).append(refused)
    assert all("grabcut found no foreground" in refused.cause for refused in made_of["view"])
    for pair in made_of["subject"]:
        assert json.loads(pair["meta.json"]["params"])["background"]["foreground"] == "none"


def test_settings_of_the_union_are_told_apart_by_kind(weights: Path) -> None:
    config = IcLightFbcConfig.model_validate(tiny(weights))
    assert config.weights_root == weights
    assert "weights_root" not in config.model_dump()
