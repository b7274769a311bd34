"""Checkpoints on disk: whole or absent, readable without pickles, and honest about what changed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pairbridge.datagen.core.sealed_folders import seal_folder, sealed_files
from pairbridge.training.engine.checkpoint import (
    CheckpointError,
    CheckpointState,
    checkpoint_folders,
    optimiser_tensors,
    read_state,
    read_tensors,
    refuse_changes,
    restore_optimiser,
    write_checkpoint,
)


def state(step: int) -> CheckpointState:
    return CheckpointState(
        step=step,
        images=4 * step,
        ema_updates=step,
        consumed={"a": 3 * step, "b": step},
        config={"seed": 0, "optimiser": {"learning_rate": 0.001}},
        mix={"sources": [{"name": "a", "weight": 0.75}]},
        inputs={"autoencoder": "0" * 64},
    )


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    return {"layer.weight": torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))}


def write(root: Path, step: int, keep: int = 3) -> Path:
    return write_checkpoint(root, state(step), {"model": weights(step)}, keep=keep)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    folder = write(tmp_path, 7)
    assert folder.name == "step-000007"
    assert read_state(folder) == state(7)
    assert torch.equal(read_tensors(folder, "model")["layer.weight"], weights(7)["layer.weight"])
    files = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert files == {".safetensors", ".json"}
    # Of one process it is a plain file of whole tensors.
    (plain,) = (folder / "model").iterdir()
    assert torch.equal(load_file(plain)["layer.weight"], weights(7)["layer.weight"])


def test_the_newest_are_kept_in_numeric_order(tmp_path: Path) -> None:
    for step in (5, 999_999, 1_000_000, 1_000_001):
        write(tmp_path, step, keep=2)
    assert [path.name for path in checkpoint_folders(tmp_path)] == ["step-1000000", "step-1000001"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-1000000", "step-1000001"]


def test_a_kill_while_writing_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, 1)
    script = f"""
import os, signal, torch
import pairbridge.training.engine.checkpoint as checkpoint
def killed(*args):
    os.kill(os.getpid(), signal.SIGKILL)
checkpoint.seal_folder = killed
checkpoint.write_checkpoint(__import__("pathlib").Path({str(tmp_path)!r}),
    checkpoint.read_state(checkpoint.checkpoint_folders(__import__("pathlib").Path({str(tmp_path)!r}))[0])
        .model_copy(update={{"step": 2}}),
    {{"model": {{"layer.weight": torch.zeros(4, 3)}}}}, keep=3)
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3], check=False)
    assert ended.returncode == -9
    assert (tmp_path / "step-000002.tmp").is_dir()
    assert [path.name for path in checkpoint_folders(tmp_path)] == ["step-000001"]
    write(tmp_path, 2)
    assert [path.name for path in checkpoint_folders(tmp_path)] == ["step-000001", "step-000002"]
    assert not list(tmp_path.glob("*.tmp"))


def test_optimiser_state_survives_exactly(tmp_path: Path) -> None:
    def model_and_optimiser() -> tuple[nn.Module, torch.optim.AdamW]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 1))
        return model, torch.optim.AdamW(model.parameters(), lr=1e-2)

    def steps(model, optimiser, n: int) -> None:
        for _ in range(n):
            optimiser.zero_grad()
            model(torch.ones(2, 3)).square().mean().backward()
            optimiser.step()

    model, optimiser = model_and_optimiser()
    steps(model, optimiser, 3)
    tensors = {
        "model": model.state_dict(),
        "optimiser": optimiser_tensors(optimiser, dict(model.named_parameters())),
    }
    folder = write_checkpoint(tmp_path, state(3), tensors, keep=1)
    steps(model, optimiser, 3)

    other, other_optimiser = model_and_optimiser()
    other.load_state_dict(read_tensors(folder, "model"))
    restore_optimiser(other_optimiser, dict(other.named_parameters()), folder, "optimiser")
    steps(other, other_optimiser, 3)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_damage_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, 1)
    (weights_of,) = (folder / "model").iterdir()
    os.truncate(weights_of, 20)
    with pytest.raises(CheckpointError, match=rf"{weights_of} cannot be used: it has 20 bytes"):
        read_tensors(folder, "model")
    with pytest.raises(CheckpointError, match="ema cannot be used"):
        read_tensors(folder, "ema")
    saved = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**saved, "format": 99}))
    with pytest.raises(CheckpointError, match=r"state\.json cannot be used: it has"):
        read_state(folder)
    names = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    seal_folder(folder, sealed_files(folder, names))
    with pytest.raises(CheckpointError, match="format 99"):
        read_state(folder)
    (folder / "state.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"state\.json"):
        read_state(folder)


def test_every_difference_is_named(tmp_path: Path) -> None:
    saved = {"seed": 0, "optimiser": {"learning_rate": 0.001}, "sources": [{"weight": 0.9}]}
    refuse_changes(tmp_path, saved, {**saved}, "the config")
    changed = {
        "seed": 0,
        "optimiser": {"learning_rate": 0.002},
        "sources": [{"weight": 0.9}, {"weight": 0.1}],
    }
    with pytest.raises(CheckpointError) as refused:
        refuse_changes(tmp_path, saved, changed, "the config")
    assert "optimiser.learning_rate: 0.001 there, 0.002 now" in str(refused.value)
    assert "sources[1].weight: absent there, 0.1 now" in str(refused.value)
    assert "seed" not in str(refused.value)
