"""A small bridge distilled on small shards: exact resume, sources alone, the student as a model, warnings."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.pipelines.inference.distilling import run_distillation
from pairbridge.pipelines.inference.found_checkpoints import trained_mix
from pairbridge.pipelines.inference.publishing import publish
from pairbridge.pipelines.inference.translation import TranslationRequest, open_model, translate_image
from pairbridge.training.bridge.timesteps import DiscreteTimesteps, LogUniformTimesteps, UniformTimesteps
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.distillation.distillation_config import DistillationConfig
from pairbridge.training.distillation.distillation_loop import distil
from pairbridge.training.distillation.distillation_watch import COLLAPSED, CRITIC_LAGS, findings
from pairbridge.training.distillation.student import build_student, matching_timesteps, student_config
from pairbridge.training.engine.checkpoint import (
    CheckpointError,
    checkpoint_folders,
    read_state,
    read_tensors,
)
from tests.support.toy_relighting import ball_pair, write_toy_dataset

TEACHER = {
    "steps": 3,
    "batch_size": 4,
    "size": 32,
    "bridge": {"sigma": 0.5},
    "timesteps": {"kind": "uniform"},
    "denoiser": {
        "widths": (8, 16),
        "head_width": 8,
        "norm_groups": 4,
        "conditions": ["mask", "source"],
    },
    "optimiser": {"warmup_images": 0, "learning_rate": 1e-2},
    "threads": 1,
    "loader_workers": 0,
    "watch": {"trackers": ()},
}
SETTINGS = {
    "steps": 4,
    "critic_steps": 2,
    "critic_warmup": 2,
    "threads": 1,
    "loader_workers": 0,
    "log_every": 1,
    "checkpoint_every": 2,
    "student": {"learning_rate": 1e-2},
    "watch": {"teacher_steps": 2, "trackers": ()},
}


def settings(**changes) -> DistillationConfig:
    return DistillationConfig.model_validate({**SETTINGS, **changes})


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    """The run's folder of a bridge that sees its source and was trained for a moment."""
    run = tmp_path_factory.mktemp("teacher")
    write_toy_dataset(run / "dataset", "relighting", {"train": 12, "validation": 4, "test": 6})
    mix = MixConfig.model_validate(
        {"sources": [{"name": "toy", "path": "run:dataset", "recipe": "relighting"}]}
    )
    train(TrainingConfig.model_validate(TEACHER), mix, run / "train", run_root=run)
    return run


def newest(run: Path) -> Path:
    return checkpoint_folders(run / "train" / "checkpoints")[-1]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    names = ("model", "ema", "optimiser", "critic", "critic_optimiser")
    return {f"{name}/{key}": value for name in names for key, value in read_tensors(folder, name).items()}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_resumed_distillation_is_the_undisturbed_one(teacher: Path, tmp_path: Path) -> None:
    few = settings(student_steps=2, student_timesteps=(0.0, 0.5))
    whole = run_distillation(few, teacher, None, tmp_path / "whole")

    class Stopped(Exception):
        pass

    def stop_at_three(line: dict) -> None:
        if line["step"] == 3:
            raise Stopped

    mix = trained_mix(newest(teacher))
    with pytest.raises(Stopped):
        distil(
            few, newest(teacher), mix, tmp_path / "cut/train", run_root=tmp_path, on_progress=stop_at_three
        )
    assert newest(tmp_path / "cut").name == "step-000002"
    torch.manual_seed(99)
    resumed = run_distillation(few, teacher, None, tmp_path / "cut")

    a, b = tensors(whole.checkpoint), tensors(resumed.checkpoint)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert whole.consumed == resumed.consumed
    consumed = [lines(tmp_path / run / "train/consumed.jsonl") for run in ("whole", "cut")]
    assert consumed[0] == consumed[1]
    # Two critic steps to warm up, and two before each second step of the student.
    assert [len(line["keys"]) // 4 for line in consumed[0]] == [5, 1, 3, 1]
    timing = ("images_per_s", "data_wait", "memory_mib", "seconds_left")
    stats = [lines(tmp_path / run / "train/stats.jsonl") for run in ("whole", "cut")]
    assert [{k: v for k, v in line.items() if k not in timing} for line in stats[0]] == [
        {k: v for k, v in line.items() if k not in timing} for line in stats[1]
    ]


def test_targets_are_never_looked_at(teacher: Path, tmp_path: Path) -> None:
    """The same sources with other targets give the same student, bit for bit."""

    def other_targets(seed: int):
        return {**ball_pair(seed), "target.png": np.full((32, 32, 3), seed % 7 * 30, np.uint8)}

    write_toy_dataset(
        tmp_path / "other", "relighting", {"train": 12, "validation": 4, "test": 6}, make_pair=other_targets
    )
    folders = (teacher / "dataset", tmp_path / "other")
    found = []
    for place, folder in enumerate(folders):
        mix = MixConfig.model_validate(
            {"sources": [{"name": "toy", "path": str(folder), "recipe": "relighting"}]}
        )
        run = run_distillation(settings(steps=2), teacher, mix, tmp_path / str(place))
        found.append(tensors(run.checkpoint))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_a_student_begins_as_its_teacher_in_one_step(teacher: Path) -> None:
    model = TranslationModel.load(newest(teacher))
    config = student_config(model.config, settings())
    student = TranslationModel(config, model.autoencoder, build_student(model, config))
    pair = ball_pair(3)
    images = [
        one.translate(pair["source.png"], pair["mask.png"], seed=seed)
        for one in (model, student)
        for seed in (0, 1)
    ]
    # The teacher's field is not zero any more.
    assert not np.array_equal(images[0], pair["source.png"])
    assert all(np.array_equal(image, images[0]) for image in images[1:])


def test_the_student_is_a_model_like_any_other(teacher: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = run_distillation(settings(), teacher, None, run)
    assert read_state(result.checkpoint).step == 4
    opened = open_model(run)
    publish(run, tmp_path / "published")
    published = open_model(tmp_path / "published")
    pair = ball_pair(3)
    requests = [TranslationRequest(pair["source.png"], pair["mask.png"], seed=seed) for seed in (0, 1)]
    outputs = [[translate_image(one, request) for request in requests] for one in (opened, published)]
    # Its noise reaches the image, by the seed alone.
    assert not np.array_equal(outputs[0][0], outputs[0][1])
    assert np.array_equal(outputs[0][0], outputs[1][0])
    assert np.array_equal(outputs[0][1], translate_image(opened, requests[1]))
    with pytest.raises(ConfigError, match="never trained"):
        translate_image(opened, TranslationRequest(pair["source.png"], pair["mask.png"], steps=2))


def test_without_noise_the_student_is_a_function_of_the_source(teacher: Path, tmp_path: Path) -> None:
    run_distillation(settings(noise=False, steps=2), teacher, None, tmp_path)
    opened = open_model(tmp_path)
    pair = ball_pair(3)
    first, second = (
        translate_image(opened, TranslationRequest(pair["source.png"], pair["mask.png"], seed=seed))
        for seed in (0, 1)
    )
    assert np.array_equal(first, second)


def test_what_belongs_to_another_distillation_is_refused(teacher: Path, tmp_path: Path) -> None:
    run_distillation(settings(steps=2), teacher, None, tmp_path / "run")
    with pytest.raises(CheckpointError, match="critic_steps"):
        run_distillation(settings(critic_steps=3), teacher, None, tmp_path / "run")
    other = tmp_path / "teacher"
    shutil.copytree(teacher, other)
    (write,) = (newest(other) / "ema").iterdir()
    weights = {name: value + 1e-3 for name, value in read_tensors(newest(other), "ema").items()}
    from safetensors.torch import save_file

    save_file(weights, write)
    with pytest.raises(CheckpointError, match="teacher"):
        run_distillation(settings(), other, None, tmp_path / "run")


def test_noise_is_no_input_of_a_training_and_a_flow_from_noise_no_teacher(
    teacher: Path, tmp_path: Path
) -> None:
    state = read_state(newest(teacher))
    denoiser = {**TEACHER["denoiser"], "conditions": ["noise"]}
    with pytest.raises(ConfigError, match="distilled students"):
        train(
            TrainingConfig.model_validate({**TEACHER, "denoiser": denoiser}),
            MixConfig.model_validate(state.mix),
            tmp_path,
            run_root=teacher,
        )
    flow = TrainingConfig.model_validate({**TEACHER, "bridge": {"sigma": 0.0, "start": "noise"}})
    with pytest.raises(ConfigError, match="flow from noise"):
        student_config(flow, settings())


@pytest.mark.parametrize("schedule", [{"kind": "i2sb"}, {"kind": "vp", "beta_max": 2.1}], ids=str)
def test_bridges_of_diffusions_are_trained_sampled_and_distilled(
    teacher: Path, tmp_path: Path, schedule: dict
) -> None:
    run = tmp_path / "teacher"
    taught = {**TEACHER, "bridge": {"kind": "diffusion", "schedule": schedule}}
    mix = MixConfig.model_validate(read_state(newest(teacher)).mix)
    shutil.copytree(teacher / "dataset", run / "dataset")
    train(TrainingConfig.model_validate(taught), mix, run / "train", run_root=run)
    run_distillation(settings(), run, None, tmp_path / "student")
    pair = ball_pair(0)
    translations = [
        open_model(folder).model.translate_batch(
            pair["source.png"][None], masks=pair["mask.png"][None], steps=steps, seed=seed
        )
        for folder, steps in ((run, 4), (tmp_path / "student", 1))
        for seed in (0, 1)
    ]
    for one, other in (translations[:2], translations[2:]):
        assert one.shape == (1, *pair["source.png"].shape)
        assert not np.array_equal(one, other)
    with pytest.raises(ConfigError, match="bridge is of kind diffusion"):
        publish(run, tmp_path / "published")
    flow = {**TEACHER, "bridge": {"kind": "diffusion", "schedule": {"kind": "vp"}, "start": "noise"}}
    with pytest.raises(ConfigError, match="flow from noise"):
        student_config(TrainingConfig.model_validate(flow), settings())


def test_times_are_those_that_the_teacher_knows() -> None:
    def of(taught_at, sigma: float = 0.05, **changes):
        taught = TrainingConfig.model_validate(
            {**TEACHER, "timesteps": taught_at, "bridge": {"sigma": sigma}}
        )
        return matching_timesteps(taught, settings(**changes))

    discrete = DiscreteTimesteps()
    assert of(discrete) == discrete
    assert of(UniformTimesteps(cap=0.95)) == LogUniformTimesteps(low=2.5e-5, cap=0.95, uniform_share=0.5)
    assert of(UniformTimesteps(), sigma=2.0).low == 1e-3
    assert of(UniformTimesteps(), sigma=0.0) == UniformTimesteps()
    assert of(UniformTimesteps(), timesteps=UniformTimesteps(cap=0.9)) == UniformTimesteps(cap=0.9)
    with pytest.raises(ConfigError, match="never trained"):
        of(discrete, timesteps=UniformTimesteps())


@pytest.mark.parametrize("times", [(), (0.5,), (0.0, 0.5, 0.5), (0.0, 1.0)])
def test_student_timesteps_rise_from_the_source(times) -> None:
    with pytest.raises(ValueError, match="student_timesteps must rise"):
        settings(student_timesteps=times)


def test_the_watch_names_a_critic_that_lags_and_a_student_that_collapsed() -> None:
    config = settings(steps=100)

    def found(**changes) -> list[str]:
        return findings(config, {"step": 90, "loss": 0.01, "loss_critic": 0.2, "spread": 0.9, **changes})

    assert found() == []
    assert found(loss=-0.019) == []
    assert found(loss=-0.03) == [CRITIC_LAGS]
    assert found(spread=0.1) == [COLLAPSED]
    # A student begins without any spread.
    assert found(spread=0.0, step=10) == []
    assert findings(config, {"step": 90, "loss": 0.01, "loss_critic": 0.2}) == []
