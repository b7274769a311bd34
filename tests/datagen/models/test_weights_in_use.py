"""Weights that change, go or rot while a run goes on, with real files."""

import os
from pathlib import Path

import pytest

from pairbridge.datagen.core.errors import FileUnreadable
from pairbridge.datagen.models.matting import BiRefNetConfig, open_matting_model
from pairbridge.datagen.models.matting.birefnet_weights import load_network
from pairbridge.datagen.models.weights.weight_folders import WeightsError
from pairbridge.datagen.models.weights.weights_in_use import WeightsChanged, WeightsInUse, weight_sums
from tests.datagen.models.birefnet_models import red_finder_state, write_folder


@pytest.fixture
def config(tmp_path: Path) -> BiRefNetConfig:
    folder = write_folder(tmp_path / "BiRefNet", red_finder_state())
    return BiRefNetConfig(weights=folder, size_WH=(64, 64))


def test_weights_that_change_under_a_run_end_it_and_those_that_go_are_waited_for(config):
    in_use = WeightsInUse(weight_sums([config]))
    path = config.folder / "model.safetensors"
    kept = path.read_bytes()

    path.unlink()
    with pytest.raises(FileUnreadable, match=r"model\.safetensors cannot be read: it is gone"):
        in_use.opened(config, open_matting_model)

    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(WeightsChanged, match=r"model\.safetensors has the sha256 .* when the run began"):
        in_use.opened(config, open_matting_model)

    path.write_bytes(kept)
    assert in_use.opened(config, open_matting_model).revision


def test_weights_that_are_touched_while_they_are_read_are_not_used(config):
    in_use = WeightsInUse(weight_sums([config]))

    def touched(settings):
        os.utime(settings.folder / "model.safetensors", ns=(0, 0))
        return "a model"

    with pytest.raises(FileUnreadable, match="was touched while it was read"):
        in_use.opened(config, touched)


def test_weights_that_cannot_be_read_are_not_called_damaged(config):
    path = config.folder / "model.safetensors"
    path.unlink()
    path.symlink_to("/proc/self/mem")  # a regular file whose reading is an EIO
    with pytest.raises(FileUnreadable, match=r"model\.safetensors cannot be read: Input/output error"):
        load_network(config.folder)
    with pytest.raises(FileUnreadable, match=r"model\.safetensors cannot be read: Input/output error"):
        weight_sums([config])


def test_weights_that_were_damaged_from_the_start_are_called_so(config):
    (config.folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="does not hold a BiRefNet"):
        WeightsInUse(weight_sums([config])).opened(config, open_matting_model)
