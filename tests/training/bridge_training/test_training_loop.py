"""The loop on small real shards: exact resume, signals, refusals, and what it writes down."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from pairbridge.datagen.core.disk_errors import OutputMoved
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.folder_lock import FolderLocked
from pairbridge.pipelines.runs.stages import set_aside
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.engine.checkpoint import (
    CheckpointError,
    checkpoint_folders,
    read_state,
    read_tensors,
)
from pairbridge.training.engine.engine_run import TrainingDiverged
from tests.support.toy_relighting import write_toy_dataset

TINY = {
    "batch_size": 4,
    "size": 32,
    "denoiser": {"widths": (8, 16), "head_width": 8, "norm_groups": 4},
    "optimiser": {"warmup_images": 8},
    "augment": {"permute_colours": 0.5},
    "threads": 1,
    "loader_workers": 0,
    "log_every": 1,
    # Slow to import; tests of trackers name theirs.
    "watch": {"trackers": ()},
}


def config(**changes) -> TrainingConfig:
    return TrainingConfig.model_validate({**TINY, "steps": 10, "checkpoint_every": 5, **changes})


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_toy_dataset(folder / "a", "relighting", {"train": 12, "validation": 4, "test": 6})
    write_toy_dataset(folder / "b", "photos", {"train": 5}, seed=1)
    return folder


def mix(**changes) -> MixConfig:
    sources = [
        {"name": "synthetic", "path": "run:a", "recipe": "relighting", "weight": 0.7},
        {"name": "photos", "path": "run:b", "recipe": "photos", "weight": 0.3},
    ]
    return MixConfig.model_validate({"sources": sources, **changes})


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": value
        for name in ("model", "ema", "optimiser")
        for key, value in read_tensors(folder, name).items()
    }


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("workers", [0, 2])
def test_ten_steps_equal_five_and_a_resume_and_five(root: Path, tmp_path: Path, workers: int) -> None:
    straight = train(config(), mix(), tmp_path / "straight", run_root=root)

    class Stopped(Exception):
        pass

    def stop_at_seven(line: dict) -> None:
        if line["step"] == 7:
            raise Stopped

    with pytest.raises(Stopped):
        train(
            config(loader_workers=workers), mix(), tmp_path / "cut", run_root=root, on_progress=stop_at_seven
        )
    assert [path.name for path in checkpoint_folders(tmp_path / "cut/checkpoints")] == ["step-000005"]
    # Nothing but the checkpoint may explain equality.
    torch.manual_seed(99)
    np.random.seed(99)
    torch.rand(7)
    resumed = train(config(loader_workers=workers), mix(), tmp_path / "cut", run_root=root)

    a, b = tensors(straight.checkpoint), tensors(resumed.checkpoint)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert read_state(straight.checkpoint).consumed == read_state(resumed.checkpoint).consumed
    # Steps 6 and 7 ran twice and are written once.
    consumed = [lines(tmp_path / run / "consumed.jsonl") for run in ("straight", "cut")]
    assert consumed[0] == consumed[1]
    assert [line["step"] for line in consumed[1]] == list(range(1, 11))


def test_the_global_generators_are_neither_read_nor_moved(root: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train(config(steps=2), mix(), tmp_path / "one", run_root=root)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = train(config(steps=2), mix(), tmp_path / "two", run_root=root)
    a, b = tensors(first.checkpoint), tensors(second.checkpoint)
    assert all(torch.equal(a[key], b[key]) for key in a)
    other = train(config(steps=2, seed=5), mix(), tmp_path / "three", run_root=root)
    assert any(not torch.equal(value, a[key]) for key, value in tensors(other.checkpoint).items())


# Each number of workers with each number of sources: tests/training/data/test_loader.py.
@pytest.mark.parametrize(
    ("weights", "workers"), [((0.9, 0.1), 2), ((0.7, 0.2, 0.1), 4), ((0.35, 0.3, 0.2, 0.1, 0.05), 0)]
)
def test_consumed_shares_are_exact_at_every_batch(
    root: Path, tmp_path: Path, weights: tuple[float, ...], workers: int
) -> None:
    """Counted from the keys that reached the optimiser, within one sample of n times the weight."""
    data = [("run:a", "relighting"), ("run:b", "photos")]
    sources = [
        {"name": f"source{i}", "path": data[i % 2][0], "recipe": data[i % 2][1], "weight": weight}
        for i, weight in enumerate(weights)
    ]
    result = train(config(steps=8, loader_workers=workers), mix(sources=sources), tmp_path, run_root=root)
    counted: Counter[str] = Counter()
    for step, line in enumerate(lines(tmp_path / "consumed.jsonl"), start=1):
        assert line["step"] == step
        counted.update(key.split("/")[0] for key in line["keys"])
        assert counted.total() == 4 * step
        assert all(abs(counted[f"source{i}"] - 4 * step * w) < 1 for i, w in enumerate(weights))
    assert counted == Counter(result.consumed)


def test_each_line_of_metrics_accounts_for_the_batch(root: Path, tmp_path: Path) -> None:
    train(config(steps=5), mix(), tmp_path, run_root=root)
    written = lines(tmp_path / "stats.jsonl")
    assert (written[-1]["step"], written[-1]["images"]) == (5, 20)
    assert written[-1]["shares"] == {"synthetic": 0.7, "photos": 0.3}
    for line in written:
        assert line["loss"] == pytest.approx(line["loss_latent"])
        assert line["loss_per_source"].keys() <= {"synthetic", "photos"}
        assert line["gradient_norm"] > 0
        assert 0 <= line["data_wait"] < 1
        assert line["substituted"] == 0


def test_learning_rate_warms_up_and_falls_to_zero(root: Path, tmp_path: Path) -> None:
    train(
        config(steps=10, optimiser={"warmup_images": 12, "learning_rate": 1e-3}),
        mix(),
        tmp_path,
        run_root=root,
    )
    rates = [line["learning_rate"] for line in lines(tmp_path / "stats.jsonl")]
    assert rates[0] < rates[1] < rates[2] < 1e-3
    assert rates[3] == pytest.approx(1e-3)
    assert all(a > b for a, b in itertools.pairwise(rates[3:]))
    assert rates[-1] < 1e-4


def test_pixel_loss_is_added_with_its_weight(root: Path, tmp_path: Path) -> None:
    loss = {"latent_weight": 0.5, "pixel_weight": 2.0, "pixel_crop": 16}
    train(config(steps=2, loss=loss), mix(), tmp_path, run_root=root)
    for line in lines(tmp_path / "stats.jsonl"):
        assert line["loss"] == pytest.approx(0.5 * line["loss_latent"] + 2 * line["loss_pixel"])


def test_bf16_keeps_float32_weights_and_stays_close_to_float32(root: Path, tmp_path: Path) -> None:
    exact = train(config(steps=4), mix(), tmp_path / "fp32", run_root=root)
    mixed = train(config(steps=4, precision="bf16"), mix(), tmp_path / "bf16", run_root=root)
    assert all(value.dtype == torch.float32 for value in tensors(mixed.checkpoint).values())
    losses = [[line["loss"] for line in lines(tmp_path / run / "stats.jsonl")] for run in ("fp32", "bf16")]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert exact.step == mixed.step == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_a_gpu_that_is_not_there_is_an_error(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no GPU"):
        train(config(device="cuda"), mix(), tmp_path, run_root=root)


def test_training_lowers_the_loss_and_the_average_translates(root: Path, tmp_path: Path) -> None:
    changes = {"steps": 60, "checkpoint_every": 60, "ema_half_life_images": 40}
    result = train(
        config(**changes, optimiser={"learning_rate": 4e-3, "warmup_images": 8}),
        mix(),
        tmp_path,
        run_root=root,
    )
    losses = [line["loss"] for line in lines(tmp_path / "stats.jsonl")]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    weights, average = (read_tensors(result.checkpoint, name) for name in ("model", "ema"))
    assert weights.keys() == average.keys()
    assert any(not torch.equal(weights[key], average[key]) for key in weights)
    assert all(value.dtype == torch.float32 for value in weights.values())
    TranslationModel.load(result.checkpoint)


def test_changed_config_mix_or_data_are_refused_by_name(root: Path, tmp_path: Path) -> None:
    train(config(steps=5), mix(), tmp_path, run_root=root)

    def refused(match: str, changed_config=None, changed_mix=None, changed_root=root) -> None:
        with pytest.raises(CheckpointError, match=match):
            train(changed_config or config(steps=5), changed_mix or mix(), tmp_path, run_root=changed_root)

    refused("bridge.sigma: 0.02 there, 0.5 now", changed_config=config(steps=5, bridge={"sigma": 0.5}))
    refused(r"mix_seed: 0 there, 3 now", changed_mix=mix(seed=3))
    sources = [source.model_dump() for source in mix().sources]
    sources[0]["weight"] = 0.8
    sources[1]["weight"] = 0.2
    refused(r"mix_sources\[0\]\.parts\[0\]\[1\]: 7 there, 4 now", changed_mix=mix(sources=sources))
    other = tmp_path / "other"
    write_toy_dataset(other / "a", "relighting", {"train": 12}, seed=7)
    write_toy_dataset(other / "b", "photos", {"train": 5}, seed=1)
    refused(r"mix_sources\[0\]\.shards", changed_root=other)
    # How fast it goes may change.
    train(config(steps=5, log_every=3, keep_checkpoints=1), mix(), tmp_path, run_root=root)


def test_a_constant_rate_can_be_trained_further(root: Path, tmp_path: Path) -> None:
    constant = {"schedule": "constant", "warmup_images": 8}
    train(config(steps=4, optimiser=constant), mix(), tmp_path / "a", run_root=root)
    further = train(config(steps=6, optimiser=constant), mix(), tmp_path / "a", run_root=root)
    straight = train(config(steps=6, optimiser=constant), mix(), tmp_path / "b", run_root=root)
    a, b = tensors(further.checkpoint), tensors(straight.checkpoint)
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_finished_training_is_left_as_it_is(root: Path, tmp_path: Path) -> None:
    first = train(config(steps=3), mix(), tmp_path, run_root=root)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert train(config(steps=3), mix(), tmp_path, run_root=root) == first
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_mix_that_ends_too_early_is_refused_before_the_first_step(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends after 4 batches"):
        train(config(steps=10), mix(on_exhausted="stop"), tmp_path, run_root=root)


def test_a_diverging_training_stops_and_keeps_its_checkpoint(root: Path, tmp_path: Path) -> None:
    wild = {"learning_rate": 1e30, "warmup_images": 0, "weight_decay": 0.0}
    with pytest.raises(TrainingDiverged, match=r"last good checkpoint is .*step-00000"):
        train(config(checkpoint_every=1, optimiser=wild), mix(), tmp_path, run_root=root)
    kept = checkpoint_folders(tmp_path / "checkpoints")
    assert kept
    assert read_state(kept[-1]).step < 10


SCRIPT = """
import sys
from pathlib import Path
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.mix_config import MixConfig
config, mix = TrainingConfig.model_validate_json(sys.argv[1]), MixConfig.model_validate_json(sys.argv[2])
result = train(config, mix, Path(sys.argv[4]), run_root=Path(sys.argv[3]))
print("interrupted", result.interrupted, result.step)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_ends_with_a_checkpoint(root: Path, tmp_path: Path, number: int) -> None:
    long = config(steps=400, checkpoint_every=400, loader_workers=1)
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", SCRIPT),
            *(long.model_dump_json(), mix().model_dump_json(), str(root), str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    metrics = tmp_path / "stats.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # As a terminal's Ctrl-C and torchrun do: the loader's workers get it too.
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    said, name, step = out.split()
    assert (said, name) == ("interrupted", signal.Signals(number).name)
    assert 0 < int(step) < 400
    state = read_state(checkpoint_folders(tmp_path / "checkpoints")[-1])
    assert state.step == int(step) == lines(tmp_path / "consumed.jsonl")[-1]["step"]


def test_a_folder_in_which_a_training_runs_is_refused_and_its_holder_named(
    root: Path, tmp_path: Path
) -> None:
    def again(line: dict) -> None:
        with pytest.raises(FolderLocked, match=f"process {os.getpid()} on"):
            train(config(), mix(), tmp_path, run_root=root)
        with pytest.raises(FolderLocked):
            set_aside(tmp_path)

    train(config(steps=1), mix(), tmp_path, run_root=root, on_progress=again)


def test_a_folder_renamed_during_a_training_stops_it_by_name(root: Path, tmp_path: Path) -> None:
    def rename(line: dict) -> None:
        if line["step"] == 7:
            (tmp_path / "run").rename(tmp_path / "elsewhere")

    with pytest.raises(OutputMoved, match="run was renamed"):
        train(config(), mix(), tmp_path / "run", run_root=root, on_progress=rename)
    assert not (tmp_path / "run").exists()
    assert train(config(), mix(), tmp_path / "elsewhere", run_root=root).step == 10
