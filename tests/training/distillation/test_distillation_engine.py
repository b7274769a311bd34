"""What a distillation has from the engine: parts of a batch, ranks, pictures, steps that wait for nothing."""

import contextlib
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch

from pairbridge.pipelines.inference.distilling import run_distillation
from pairbridge.pipelines.inference.found_checkpoints import trained_mix
from pairbridge.training.distillation.distillation_loop import Distillation, distil
from pairbridge.training.engine.checkpoint import CheckpointState, read_tensors, write_checkpoint
from pairbridge.training.engine.checkpoint_writer import CheckpointWriter
from pairbridge.training.engine.optimiser import OptimiserConfig, make_optimiser
from tests.support.forked_ranks import ForkedRanks
from tests.training.bridge_training.test_training_step import ReadsOfScalars, counted_reads
from tests.training.distillation.test_distillation_loop import lines, newest, settings, teacher, tensors

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


# As torchrun's processes would, in forks of one that has imported it all.
LAYOUTS = {
    "replicated": {},
    "sharded": {"parallel": "fsdp"},
    "sharded-in-parts": {"parallel": "fsdp", "accumulate": 2},
}


def distil_ranks(teacher: str, run: str, changes: dict) -> None:
    """In each rank."""
    run_distillation(settings(**ONE, **changes), Path(teacher), None, Path(run))


# Three launches of two ranks.
@pytest.mark.long
def test_two_ranks_distil_what_one_process_does(teacher: Path, tmp_path: Path) -> None:
    alone = run_distillation(settings(**ONE), teacher, None, tmp_path / "alone")
    here = "tests.training.distillation.test_distillation_engine:distil_ranks"
    with ForkedRanks(tmp_path) as ranks:
        for name, changes in LAYOUTS.items():
            arguments = {"teacher": str(teacher), "run": str(tmp_path / name), "changes": changes}
            assert ranks(here, **arguments) == [0, 0], ranks.said
    for name in LAYOUTS:
        _momenta_agree(tensors(alone.checkpoint), tensors(newest(tmp_path / name)))
        _figures_agree(tmp_path / "alone/train", tmp_path / name / "train")
        # Of the two that wrote it each has its half.
        assert len(list((newest(tmp_path / name) / "critic").iterdir())) == 2


def test_nothing_in_a_step_waits_for_the_device(teacher: Path, tmp_path: Path, monkeypatch) -> None:
    """Numbers are read once a step: of a copy that was brought to the host before."""
    counted = counted_reads(monkeypatch)
    saved = []
    monkeypatch.setattr(CheckpointWriter, "write", lambda *args: saved.append((dict(counted), args[2])))
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
            mix = trained_mix(checkpoint)
            distil(config, checkpoint, mix, tmp_path, run_root=tmp_path, on_progress=begin_to_count)
    # Which timestep is fitted is drawn on the CPU: for nine batches, and for four samples that are compared.
    assert reads.found == {"_local_scalar_dense": 13}
    ((read, written),) = saved
    assert read == {"tolist": 4}
    # Weights and two states of each (no momentum), of both networks, and the student's averages.
    weights = len(read_tensors(newest(teacher), "model"))
    assert sum(len(tensors) for tensors in written.values()) == 7 * weights


def test_pictures_of_the_student_change_nothing_of_it(teacher: Path, tmp_path: Path) -> None:
    watch = {"teacher_steps": 2, "pictures_every": 2, "rows": 2, "trackers": ()}
    seen = run_distillation(settings(watch=watch), teacher, None, tmp_path / "seen")
    unseen = run_distillation(settings(), teacher, None, tmp_path / "unseen")
    names = sorted(path.name for path in (tmp_path / "seen/train/pictures").iterdir())
    assert names == ["pairs.json", "step-000002.png", "step-000004.png"]
    a, b = tensors(seen.checkpoint), tensors(unseen.checkpoint)
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(("precision", "copies"), [("fp32", 7), ("bf16", 6.5)])
def test_between_two_passes_no_more_than_seven_copies_of_the_network_rest(
    teacher: Path, tmp_path: Path, precision: str, copies: float
) -> None:
    """Teacher, student, critic; squares of both; the average: six. The gradients of one network at a time
    make seven, of the ten that AdamW's momenta and the other network's gradients would make it.
    """
    checkpoint = newest(teacher)
    folder = tmp_path / "teacher" / checkpoint.name
    shutil.copytree(checkpoint, folder)
    state = json.loads((folder / "state.json").read_bytes())
    state["config"]["precision"] = precision
    tensors_of = {path.name: read_tensors(checkpoint, path.name) for path in checkpoint.glob("*/")}
    shutil.rmtree(folder)
    folder = write_checkpoint(folder.parent, CheckpointState.model_validate(state), tensors_of, keep=1)
    method = Distillation(settings(**ONE, noise=False), folder, trained_mix(checkpoint), tmp_path, teacher)
    method.step(0, iter(method.loader.batches()))
    resting = {}
    for network in (method.teacher.denoiser, *(learner.network for learner in method.learners)):
        resting |= {id(weight): weight for weight in network.parameters()}
        resting |= {id(weight): weight.grad for weight in network.parameters() if weight.grad is not None}
    for learner in method.learners:
        for name, files in learner.tensors().items():
            if name not in ("model", "critic"):
                resting |= {(name, key): value for key, value in files.items()}
    held = sum(tensor.numel() * tensor.element_size() for tensor in resting.values())
    one = sum(weight.numel() * 4 for weight in method.student.network.parameters())
    # The gradients of one network, which are there during its backward pass, on top.
    assert held / one + 1 == pytest.approx(copies, abs=0.05)


def test_without_momentum_a_step_is_that_of_adamw() -> None:
    weights = [torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4)) for _ in range(2)]
    config = OptimiserConfig(betas=(0.0, 0.99), weight_decay=0.1)
    ours = make_optimiser(config, [weights[0]])
    theirs = torch.optim.AdamW(
        [weights[1]], lr=config.learning_rate, betas=config.betas, weight_decay=0.1, fused=True
    )
    for step in range(5):
        for weight, optimiser in zip(weights, (ours, theirs), strict=True):
            weight.grad = torch.sin(3 * weight.detach() + step)
            optimiser.step()
    assert torch.equal(*weights)
    assert ours.state[weights[0]].keys() == {"step", "exp_avg_sq"}
