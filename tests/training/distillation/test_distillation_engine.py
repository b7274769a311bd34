"""What a distillation has from the engine: parts of a batch, ranks, pictures, steps that wait for nothing."""

import contextlib
from collections import Counter
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from pairbridge.pipelines.inference.distilling import run_distillation, teachers_mix
from pairbridge.training.distillation.distillation_loop import distil
from pairbridge.training.engine import engine_run
from pairbridge.training.engine.checkpoint import read_tensors
from tests.training.bridge_training.test_training_step import ReadsOfScalars, counted_reads
from tests.training.distillation.test_distillation_loop import lines, newest, settings, teacher, tensors
from tests.training.engine.test_two_ranks import torchrun

__all__ = ["teacher"]

# One student step: from the second on AdamW without momentum turns the rounding of vanishing gradients into
# whole steps. A chain of two goes through the network twice.
ONE = {"steps": 1, "student_timesteps": (0.0, 0.5)}


def _momenta_agree(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    second = [key for key in a if key.endswith("exp_avg_sq")]
    assert second
    assert a.keys() == b.keys()
    for key in second:
        alike = [a[other] for other in second if other.split("/")[0] == key.split("/")[0]]
        floor = 1e-5 * max(float(value.abs().max()) for value in alike)
        torch.testing.assert_close(a[key], b[key], atol=2e-3 * float(a[key].abs().max()) + floor, rtol=0)


def _figures_agree(a: Path, b: Path) -> None:
    first, second = (lines(run / "stats.jsonl")[0] for run in (a, b))
    for name in ("loss", "loss_teacher", "loss_critic", "critic_loss", "gradient_norm", "spread"):
        assert first[name] == pytest.approx(second[name], rel=1e-3), name
    keys = [Counter(lines(run / "consumed.jsonl")[0]["keys"]) for run in (a, b)]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("changes", [{"accumulate": 3}, {"gradient_checkpointing": True}])
def test_parts_and_recomputed_activations_change_no_gradient(teacher: Path, tmp_path: Path, changes) -> None:
    whole = run_distillation(settings(**ONE), teacher, None, tmp_path / "whole")
    other = run_distillation(settings(**ONE, **changes), teacher, None, tmp_path / "other")
    _momenta_agree(tensors(whole.checkpoint), tensors(other.checkpoint))
    _figures_agree(tmp_path / "whole/train", tmp_path / "other/train")


def test_two_ranks_distil_what_one_process_does(teacher: Path, tmp_path: Path) -> None:
    alone = run_distillation(settings(**ONE), teacher, None, tmp_path / "alone")
    with open(tmp_path / "distillation.yaml", "w") as stream:
        YAML(typ="safe").dump(settings(**ONE).model_dump(mode="json"), stream)
    program = tmp_path / "command.py"
    program.write_text("from pairbridge.pipelines.cli import main\nmain()\n")
    options = ["--config", tmp_path / "distillation.yaml", "--run", tmp_path / "ranks"]
    out = torchrun(program, "distill", teacher, *options)
    assert out.count("step 1: ") == 1
    _momenta_agree(tensors(alone.checkpoint), tensors(newest(tmp_path / "ranks")))
    _figures_agree(tmp_path / "alone/train", tmp_path / "ranks/train")


def test_nothing_in_a_step_waits_for_the_device(teacher: Path, tmp_path: Path, monkeypatch) -> None:
    """Numbers are read once a step: of a copy that was brought to the host before."""
    counted = counted_reads(monkeypatch)
    saved = []
    monkeypatch.setattr(engine_run, "write_checkpoint", lambda *args, **kwargs: saved.append(dict(counted)))
    config = settings(steps=6, checkpoint_every=6, log_every=2, accumulate=2)

    with ReadsOfScalars() as reads:

        def begin_to_count(line: dict) -> None:
            # What happens once, before the first step, may wait.
            if line["step"] == 2:
                counted.clear()
                reads.found.clear()

        # Without a checkpoint on disk there is no result to return.
        with contextlib.suppress(IndexError):
            checkpoint = newest(teacher)
            mix = teachers_mix(checkpoint)
            distil(config, checkpoint, mix, tmp_path, run_root=tmp_path, on_progress=begin_to_count)
    assert len(saved) == 1
    # Which timestep is fitted is drawn on the CPU: for nine batches, and for four samples that are compared.
    assert reads.found == {"_local_scalar_dense": 13}
    assert saved[0]["tolist"] == 4
    assert saved[0].keys() == {"tolist", "cpu"}
    # Weights and three states of each, of both networks, and the student's averages.
    weights = len(read_tensors(newest(teacher), "model"))
    assert saved[0]["cpu"] == 9 * weights


def test_pictures_of_the_student_change_nothing_of_it(teacher: Path, tmp_path: Path) -> None:
    watch = {"teacher_steps": 2, "pictures_every": 2, "rows": 2}
    seen = run_distillation(settings(watch=watch), teacher, None, tmp_path / "seen")
    unseen = run_distillation(settings(), teacher, None, tmp_path / "unseen")
    names = sorted(path.name for path in (tmp_path / "seen/train/pictures").iterdir())
    assert names == ["pairs.json", "step-000002.png", "step-000004.png"]
    a, b = tensors(seen.checkpoint), tensors(unseen.checkpoint)
    assert all(torch.equal(a[key], b[key]) for key in a)
