"""Calibration: scenes whose answer is exact, figures that follow from them, and the best paste as default."""

import json
import sys

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pairbridge.datagen.core.seeds import rng
from pairbridge.datagen.imaging.pasting import paste_relit
from pairbridge.datagen.models.matting.agreement import boundary_band, mask_agreement
from pairbridge.pipelines.checks.calibration import (
    Calibration,
    CalibrationConfig,
    CalibrationError,
    TrueScene,
    calibrate,
    judge_matting,
    judge_pasting,
    judge_relighter,
)
from pairbridge.pipelines.checks.calibration_report import markdown, table
from pairbridge.pipelines.checks.paste_modes import DEFAULT_MODE, PASTE_MODES
from pairbridge.pipelines.cli import main
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.evaluation.metrics import bootstrap_interval

SMALL = (
    "scenes.groups={test: 4}",
    "scenes.size_WH=[128, 128]",
    "render.lighting_copy_width=64",
)


def small_config() -> CalibrationConfig:
    return load_config(find_config("calibration", "default"), CalibrationConfig, SMALL)


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    log_path = tmp_path_factory.mktemp("calibration") / "blender.log"
    return calibrate(small_config(), threads=2, log_path=log_path, on_progress=lambda what: None)


@pytest.fixture
def scene() -> TrueScene:
    """A bright disc that becomes half as bright, over two noisy backgrounds; an edge of one pixel."""
    draw = rng(0, "calibrate")
    alpha = cv2.circle(np.zeros((64, 64), np.uint8), (32, 32), 20, 255, -1, cv2.LINE_AA)
    here, there = (draw.uniform(0, 120, (64, 64, 3)) for _ in range(2))
    subject = draw.uniform(150, 250, (64, 64, 3))
    weight = alpha[..., None] / 255

    def over(foreground: np.ndarray, background: np.ndarray) -> np.ndarray:
        return np.rint(weight * foreground + (1 - weight) * background).astype(np.uint8)

    return TrueScene(
        name="disc",
        subject="disc:1",
        photo=over(subject, here),
        mask=alpha,
        other=over(subject / 2, there),
        other_background=np.rint(there).astype(np.uint8),
        truth=over(subject / 2, here),
    )


class FixedMatting:
    """Answers every photograph with one alpha."""

    name, revision, is_stand_in = "fixed", "1", False

    def __init__(self, alpha: np.ndarray) -> None:
        self.answer = alpha

    def alpha(self, image: np.ndarray) -> np.ndarray:
        return self.answer


class FixedRelighter:
    """Answers every photograph with one image."""

    name, revision, is_stand_in = "fixed", "1", False

    def __init__(self, image: np.ndarray) -> None:
        self.answer = image

    def relight(self, image: np.ndarray, alpha: np.ndarray, background: np.ndarray, seed: int) -> np.ndarray:
        return self.answer


def test_mask_figures_are_those_of_two_squares() -> None:
    truth, found = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    truth[20:60, 20:60], found[20:60, 30:70] = 255, 255
    agreement = mask_agreement(found, truth)
    assert agreement.iou == pytest.approx(30 / 50)
    assert agreement.error == pytest.approx(2 * 10 * 40 / 100**2)
    band = boundary_band(truth)
    assert band[58:62, 40].all()
    assert not band[[57, 62], 40].any()
    assert agreement.boundary_error == pytest.approx((found != truth)[band].mean())
    exact = mask_agreement(truth, truth)
    assert (exact.iou, exact.error, exact.boundary_error) == (1, 0, 0)
    with pytest.raises(ValueError, match="no edge"):
        mask_agreement(found, np.full_like(truth, 255))


@pytest.mark.parametrize("alpha", [0.0, 1.0, np.nan])
def test_a_matting_model_that_finds_nothing_everything_or_nan_is_counted_as_refused(
    scene, alpha: float
) -> None:
    judged = judge_matting("bad", FixedMatting(np.full(scene.mask.shape, alpha, np.float32)), [scene])
    assert judged.figures == {}
    assert "fixed found no foreground" in judged.refused["disc"]
    found = Calibration((scene,), {}, [judged], [], judge_pasting([scene]))
    rows = table(found, seed=0)
    assert [(row["n"], row["refused"], row["mean"]) for row in rows if row["method"] == "bad"] == [
        (0, 1, None)
    ] * 3
    assert "| bad | – | – | 0 (1 refused) |" in markdown(found, rows)
    assert "- disc, bad: fixed found no foreground" in markdown(found, rows)


def test_a_relighter_that_gives_another_size_is_counted_as_refused(scene) -> None:
    relighter = FixedRelighter(scene.other[:32])
    judged = judge_relighter("bad", relighter, [scene], {"disc": scene.mask}, seed=0)
    assert judged.figures == {}
    assert "(32, 64, 3)" in judged.refused["disc"]


def test_gain_is_over_the_untouched_photograph_and_grows_with_the_answer(scene) -> None:
    gains = []
    for image in (np.full_like(scene.photo, 255), scene.photo, scene.other):
        judged = judge_relighter("x", FixedRelighter(image), [scene], {"disc": scene.mask}, seed=0)
        gains.append(judged.figures["disc"]["gain"])
    assert gains[0] < gains[1] == 0
    assert gains[2] > 20


def test_every_paste_mode_keeps_the_photograph_outside_and_the_relit_inside(scene) -> None:
    for paste in PASTE_MODES.values():
        pasted = paste(scene.photo, scene.other, scene.mask)
        assert (pasted[scene.mask == 0] == scene.photo[scene.mask == 0]).all()
        assert (pasted[scene.mask == 255] == scene.other[scene.mask == 255]).all()


def test_lightings_that_would_have_to_be_baked_are_refused() -> None:
    scenes = {"kind": "relighting_swap", "groups": {"test": 1}, "lighting_kinds": {"sky": 1.0}}
    with pytest.raises(ValidationError, match="hdri alone"):
        CalibrationConfig.model_validate({"scenes": scenes})


def test_no_scenes_is_an_error_with_a_remedy(tmp_path) -> None:
    scenes = {"kind": "relighting_swap", "groups": {"test": 0}, "standing": 0.0}
    config = CalibrationConfig.model_validate({"scenes": scenes})
    with pytest.raises(CalibrationError, match=r"scenes\.groups"):
        calibrate(config, threads=1, log_path=tmp_path / "log", on_progress=lambda what: None)


@pytest.mark.render
def test_scenes_agree_wherever_they_show_the_same_thing(calibration) -> None:
    assert len(calibration.scenes) == 8
    assert {scene.subject.partition(":")[0] for scene in calibration.scenes} <= {"mug", "toy_car"}
    for scene in calibration.scenes:
        empty, solid = scene.mask == 0, scene.mask == 255
        assert (scene.photo[empty] == scene.truth[empty]).all()
        assert (scene.other[empty] == scene.other_background[empty]).all()
        # Alpha of 254.5 rounds to 255 with a trace of background left.
        assert np.abs(scene.other[solid].astype(int) - scene.truth[solid]).max() <= 2
        assert (scene.photo[solid] != scene.truth[solid]).mean() > 0.5


@pytest.mark.render
def test_the_paste_that_recipes_use_is_the_best_of_the_three_at_rendered_rims(calibration) -> None:
    rows = {
        row["method"]: row["mean"]
        for row in table(calibration, seed=0)
        if (row["part"], row["figure"]) == ("paste", "rim_error")
    }
    assert PASTE_MODES[DEFAULT_MODE] is paste_relit
    # pymatting's may be better still, but is not always there.
    rows.pop("foreground estimated by pymatting, sRGB", None)
    assert len(rows) == 3
    assert all(rows[DEFAULT_MODE] < error for method, error in rows.items() if method != DEFAULT_MODE)


@pytest.mark.render
def test_the_command_writes_one_table_as_text_and_figures_and_a_sheet(tmp_path, monkeypatch, capsys) -> None:
    smaller = (*SMALL, "scenes.groups={test: 2}", "scenes.size_WH=[96, 96]", "render.samples=8")
    settings = [part for setting in smaller for part in ("--set", setting)]
    monkeypatch.setattr(sys, "argv", ["pairbridge", "calibrate", "--out", str(tmp_path / "out"), *settings])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    text = (tmp_path / "out" / "calibration.md").read_text()
    assert capsys.readouterr().out.startswith(text)
    record = json.loads((tmp_path / "out" / "calibration.json").read_bytes())
    subjects = {scene["name"]: scene["subject"] for scene in record["scenes"]}
    row = next(row for row in record["table"] if row["figure"] == "iou")
    (judged,) = (judged for judged in record["images"]["masks"] if judged["method"] == row["method"])
    values = {name: figures["iou"] for name, figures in judged["figures"].items()}
    again = bootstrap_interval(list(values.values()), [subjects[name] for name in values], seed=11)
    assert (row["mean"], row["low"], row["high"]) == (again.mean, again.low, again.high)
    assert (row["n"] + row["refused"], row["method"]) == (4, "grabcut (stand-in)")
    assert f"| {row['method']} | {row['mean']:.3f} | {row['low']:.3f} to {row['high']:.3f} |" in text
    assert text.count("| faultless relighter (render under B) |") == 3
    assert cv2.imread(str(tmp_path / "out" / "calibration.png")).shape[1] == 1280
