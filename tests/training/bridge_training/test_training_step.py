"""What a step adds up to, what it waits for, what a run shows and what stops it; and what a kill costs."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.translation_model import TranslationModel, build_denoiser
from pairbridge.training.engine.checkpoint import (
    CheckpointError,
    checkpoint_folders,
    read_state,
    read_tensors,
)
from pairbridge.training.engine.checkpoint_writer import CheckpointWriter
from pairbridge.training.engine.engine_run import TrainingDiverged
from pairbridge.training.networks.autoencoders import HaarConfig, build_autoencoder
from pairbridge.training.networks.latent_unet import LatentUNetConfig
from tests.support.toy_relighting import write_toy_dataset
from tests.training.bridge_training.test_training_loop import TINY, config, lines, mix, tensors


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_toy_dataset(folder / "a", "relighting", {"train": 12, "validation": 4})
    write_toy_dataset(folder / "b", "photos", {"train": 5}, seed=1)
    return folder


def test_parts_of_a_batch_add_up_to_the_batch(root: Path, tmp_path: Path) -> None:
    """Accumulated gradients are those of the large batch up to the rounding of their sum."""
    loss = {"pixel_weight": 1.0, "pixel_crop": 16}
    whole = train(config(steps=1, loss=loss), mix(), tmp_path / "whole", run_root=root)
    parts = train(config(steps=1, loss=loss, accumulate=3), mix(), tmp_path / "parts", run_root=root)
    a, b = tensors(whole.checkpoint), tensors(parts.checkpoint)
    momenta = [key for key in a if key.endswith("exp_avg")]
    assert momenta
    for key in momenta:
        torch.testing.assert_close(a[key], b[key], atol=1e-8, rtol=1e-3)
    figures = [lines(tmp_path / run / "stats.jsonl")[0] for run in ("whole", "parts")]
    for name in ("loss", "loss_latent", "loss_pixel", "gradient_norm"):
        assert figures[0][name] == pytest.approx(figures[1][name], rel=1e-5)


class ReadsOfScalars(TorchDispatchMode):
    """Counts what would make a host wait for its device."""

    NAMES = frozenset({"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique"})

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in self.NAMES:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def counted_reads(monkeypatch) -> Counter[str]:
    """Counts what brings tensors to the host."""
    counted: Counter[str] = Counter()
    for name in ("tolist", "cpu", "numpy", "item"):
        original = getattr(torch.Tensor, name)

        def read(self, *args, _name=name, _original=original):
            counted[_name] += 1
            return _original(self, *args)

        monkeypatch.setattr(torch.Tensor, name, read)
    return counted


def test_nothing_in_a_step_waits_for_the_device(root: Path, tmp_path: Path, monkeypatch) -> None:
    """Scalars are read nowhere, and lists once a step: of numbers that a copy brought to the host before."""
    counted = counted_reads(monkeypatch)
    saved = []
    monkeypatch.setattr(CheckpointWriter, "write", lambda *args: saved.append((dict(counted), args[2])))
    settings = config(
        steps=6,
        checkpoint_every=6,
        log_every=2,
        precision="bf16",
        accumulate=2,
        loss={"pixel_weight": 1.0, "pixel_crop": 16},
        denoiser={**TINY["denoiser"], "conditions": ["mask", {"field": "source", "dropout": 0.5}]},
    )
    with ReadsOfScalars() as reads:

        def begin_to_count(line: dict) -> None:
            # What happens once, before the first step, may wait.
            if line["step"] == 2:
                counted.clear()
                reads.found.clear()

        # Without a checkpoint on disk there is no result to return.
        with contextlib.suppress(IndexError):
            train(settings, mix(), tmp_path, run_root=root, on_progress=begin_to_count)
    assert not reads.found
    ((read, written),) = saved
    assert read == {"tolist": 4}
    # Only the checkpoint brings tensors to the CPU: weights, averages and three states of each weight.
    weights = len(build_denoiser(settings, build_autoencoder(settings.autoencoder)).state_dict())
    assert sum(len(tensors) for tensors in written.values()) == 5 * weights


def test_pictures_are_of_the_same_held_out_pairs(root: Path, tmp_path: Path) -> None:
    watch = {"pictures_every": 2, "rows": 3, "trackers": ()}
    train(config(steps=4, watch=watch), mix(), tmp_path / "watched", run_root=root)
    folder = tmp_path / "watched" / "pictures"
    keys = json.loads((folder / "pairs.json").read_bytes())
    assert len(keys) == 3
    assert all(key.startswith("relighting-validation-") for key in keys)
    first, last = (
        decode_field("sheet.png", (folder / f"step-00000{step}.png").read_bytes()) for step in (2, 4)
    )
    assert first.shape == last.shape == (3 * 32, 3 * 32, 3)
    assert np.array_equal(first[:, :32], last[:, :32])
    assert np.array_equal(first[:, 64:], last[:, 64:])
    assert not np.array_equal(first[:, 32:64], last[:, 32:64])
    # Watching changes nothing.
    unwatched = train(config(steps=4), mix(), tmp_path / "unwatched", run_root=root)
    a, b = tensors(unwatched.checkpoint), tensors(checkpoint_folders(tmp_path / "watched/checkpoints")[-1])
    assert all(torch.equal(a[key], b[key]) for key in a)
    with pytest.raises(ConfigError, match="split 'test'"):
        train(config(watch={**watch, "split": "test"}), mix(), tmp_path / "none", run_root=root)


def test_a_loss_out_of_all_proportion_stops_the_run(root: Path, tmp_path: Path) -> None:
    rising = {"learning_rate": 0.3, "warmup_images": 0}
    with pytest.raises(TrainingDiverged, match="it began at"):
        train(config(steps=60, optimiser=rising, diverged_at=1.5), mix(), tmp_path, run_root=root)


KILLED = """
import os, signal, sys
from pathlib import Path
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.mix_config import MixConfig
def kill(line):
    if line["step"] == 8:
        os.kill(os.getpid(), signal.SIGKILL)
config, mix = TrainingConfig.model_validate_json(sys.argv[1]), MixConfig.model_validate_json(sys.argv[2])
train(config, mix, Path(sys.argv[4]), run_root=Path(sys.argv[3]), on_progress=kill)
"""


def test_a_kill_loses_less_than_two_intervals(root: Path, tmp_path: Path) -> None:
    """SIGKILL at some step, while a checkpoint may be being written; the resumed run ends bit for bit where
    the undisturbed one does.
    """
    straight = train(config(steps=12, checkpoint_every=3), mix(), tmp_path / "straight", run_root=root)
    cut = config(steps=12, checkpoint_every=3).model_dump_json(), mix().model_dump_json()
    command = [sys.executable, "-c", KILLED, *cut, str(root), str(tmp_path / "cut")]
    ended = subprocess.run(command, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert read_state(checkpoint_folders(tmp_path / "cut/checkpoints")[-1]).step > 8 - 2 * 3
    resumed = train(config(steps=12, checkpoint_every=3), mix(), tmp_path / "cut", run_root=root)
    a, b = tensors(straight.checkpoint), tensors(resumed.checkpoint)
    assert all(torch.equal(a[key], b[key]) for key in a)
    losses = [[line["loss"] for line in lines(tmp_path / run / "stats.jsonl")] for run in ("straight", "cut")]
    assert losses[0] == losses[1]


def test_changed_base_weights_are_refused_and_gone_ones_are_not(root: Path, tmp_path: Path) -> None:
    """What a training started from is part of it; after the first step it is in the checkpoint."""
    topology = {
        "widths": (8, 16),
        "transformer_layers": (0, 1),
        "middle_layers": 1,
        "heads": (1, 2),
        "norm_groups": 4,
    }
    haar, folder = build_autoencoder(HaarConfig()), tmp_path / "base"
    torch.manual_seed(0)
    base = LatentUNetConfig(**topology).build(in_channels=48, out_channels=haar.channels)
    torch.nn.init.normal_(base.conv_out.weight, std=0.01)
    base.save_pretrained(folder)
    started = config(
        steps=2,
        checkpoint_every=1,
        denoiser={"kind": "latent_unet", **topology, "base": str(folder), "conditions": ["mask"]},
        optimiser={"learning_rate": 1e-9, "warmup_images": 0, "schedule": "constant"},
    )
    first = train(started, mix(), tmp_path / "run", run_root=root)
    kept = read_tensors(first.checkpoint, "model")
    torch.testing.assert_close(
        kept["unet.conv_in.weight"][:, :48], base.conv_in.weight.detach(), atol=1e-7, rtol=0
    )
    assert kept["unet.conv_out.weight"].abs().max() < 1e-7
    TranslationModel.load(first.checkpoint)
    longer = started.model_copy(update={"steps": 3})
    with torch.no_grad():
        base.conv_out.weight += 1
    base.save_pretrained(folder)
    with pytest.raises(CheckpointError, match="base"):
        train(longer, mix(), tmp_path / "run", run_root=root)
    shutil.rmtree(folder)
    assert train(longer, mix(), tmp_path / "run", run_root=root).step == 3
