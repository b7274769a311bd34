"""Context deviation on a small random DINOv2 in the published layout, against transformers and NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Dinov2Model

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.perceptual.context_deviation import ContextDeviation
from tests.support.tiny_dinov2 import write_tiny_dinov2

SIDE = 224


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dinov2(tmp_path_factory.mktemp("weights") / "dinov2")


@pytest.fixture(scope="module")
def deviation(folder: Path) -> ContextDeviation:
    return ContextDeviation.load(folder, torch.device("cpu"))


def backdrop(seed: int = 0) -> np.ndarray:
    grain = np.random.default_rng(seed).integers(-12, 13, (SIDE, SIDE, 1))
    return np.clip(np.array([120, 140, 90]) + grain, 0, 255).astype(np.uint8)


def hole(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[rows, columns] = 255
    return mask


def test_it_is_one_minus_the_cosine_of_the_mean_features(folder: Path, deviation: ContextDeviation) -> None:
    """A hole of 3 x 4 whole patches at row 6, column 5; its box is a patch and a third of one wider."""
    picture = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    mask = hole(slice(84, 126), slice(70, 126))
    network = Dinov2Model.from_pretrained(folder).eval()
    pixels = (picture / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        tokens = network(torch.from_numpy(pixels.transpose(2, 0, 1)[None]).float()).last_hidden_state
    # The class token comes first.
    features = tokens[0, 1:].double().numpy().reshape(16, 16, 32)
    features /= np.linalg.norm(features, axis=2, keepdims=True)
    inside = np.zeros((16, 16), bool)
    inside[6:9, 5:9] = True
    box = np.zeros((16, 16), bool)
    box[5:10, 4:10] = True
    of_hole, of_ring = features[inside].mean(axis=0), features[box & ~inside].mean(axis=0)
    cosine = of_hole @ of_ring / np.linalg.norm(of_hole) / np.linalg.norm(of_ring)
    assert deviation([picture], [mask]) == [pytest.approx(1 - cosine, rel=1e-4)]


def test_what_is_still_there_deviates_more_than_what_goes_on(deviation: ContextDeviation) -> None:
    mask = hole(slice(84, 140), slice(84, 140))
    removed = backdrop()
    kept = removed.copy()
    kept[mask > 0] = (250, 20, 30)
    of_removed, of_kept = deviation([removed, kept], [mask, mask])
    assert 0 <= of_removed < 0.2 * of_kept


def test_every_part_of_a_mask_is_a_hole_of_its_own(deviation: ContextDeviation) -> None:
    first, second = hole(slice(28, 70), slice(28, 70)), hole(slice(154, 196), slice(154, 196))
    kept = backdrop()
    kept[first > 0] = (250, 20, 30)
    # Features attend to the whole picture, the same in both: the parts differ in where they look alone.
    alone = [deviation([kept], [mask])[0] for mask in (first, second)]
    assert deviation([kept], [first | second]) == [pytest.approx(np.mean(alone))]
    assert alone[0] > 3 * alone[1]


def test_small_holes_and_full_masks_have_a_figure_and_empty_masks_none(deviation: ContextDeviation) -> None:
    faint = deviation([backdrop()], [hole(slice(84, 126), slice(70, 126)) // 5])
    assert faint == deviation([backdrop()], [hole(slice(84, 126), slice(70, 126))])
    speck, everything = hole(slice(100, 103), slice(100, 103)), np.full((SIDE, SIDE), 255, np.uint8)
    figures = deviation([backdrop()] * 2, [speck, everything])
    assert np.isfinite(figures).all()
    # There is nothing around it but itself.
    assert figures[1] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="marks nothing"):
        deviation([backdrop()], [np.zeros((SIDE, SIDE), np.uint8)])


def test_a_folder_without_the_network_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="DINOv2 folder"):
        ContextDeviation.load(tmp_path, torch.device("cpu"))
