"""The ten rows of the table of settings of inverse bridge matching distillation, as configurations: each is
what the paper states, fits the tasks' dataset, and runs for a moment on small pairs of the same fields.
"""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.imaging.edges import canny_edges
from pairbridge.pipelines.inference.distilling import run_distillation
from pairbridge.pipelines.reading.config_files import find_config, load_config
from pairbridge.training.bridge.bridges import DiffusionBridge
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.distillation.distillation_config import DistillationConfig
from pairbridge.training.engine.checkpoint import checkpoint_folders
from tests.support.toy_relighting import write_toy_dataset

SIDE = 16
# Config: mix, teacher, network evaluations, critic steps for a student's, learning rate, steps, random input.
TABLE = {
    "sr4-bicubic": ("sr4-bicubic", "bridge-teacher-i2sb", 1, 5, 5e-5, 3000, True),
    "sr4-pooled": ("sr4-pooled", "bridge-teacher-i2sb", 1, 5, 5e-5, 3000, True),
    "jpeg5": ("jpeg5", "bridge-teacher-i2sb", 1, 5, 5e-5, 2000, True),
    "jpeg10": ("jpeg10", "bridge-teacher-i2sb", 1, 5, 5e-5, 3000, True),
    "centre-hole-i2sb": ("centre-hole", "bridge-teacher-i2sb-hole", 4, 5, 5e-5, 2000, False),
    "centre-hole-ddbm": ("centre-hole", "bridge-teacher-ddbm-hole", 4, 1, 3e-6, 3000, True),
    "edges-two-steps": ("edges-to-pictures", "bridge-teacher-ddbm", 2, 5, 1e-5, 300, True),
    "edges-one-step": ("edges-to-pictures", "bridge-teacher-ddbm", 1, 5, 1e-5, 14000, True),
    "normals-two-steps": ("normals-to-pictures", "bridge-teacher-ddbm", 2, 5, 1e-5, 500, True),
    "normals-one-step": ("normals-to-pictures", "bridge-teacher-ddbm", 1, 5, 1e-5, 3700, True),
}
SMALL = ["device=cpu", "threads=1", "loader_workers=0", "log_every=1", "watch.trackers=[]"]
SMALL_TEACHER = [
    *SMALL,
    "steps=2",
    "batch_size=4",
    f"size={SIDE}",
    "denoiser.widths=[8, 16]",
    "denoiser.attention_levels=[]",
    "denoiser.head_width=8",
    "denoiser.norm_groups=4",
]
SMALL_STUDENT = [*SMALL, "steps=2", "batch_size=4", "critic_warmup=1", "watch.teacher_steps=2"]


def drawn(seed: int) -> dict[str, np.ndarray]:
    """A disc and its normals; of these the fields of both recipes."""
    draw = np.random.default_rng(seed)
    target = np.full((SIDE, SIDE, 3), draw.integers(0, 256, 3), np.uint8)
    cv2.circle(target, (8, 8), 5, draw.integers(0, 256, 3).tolist(), -1)
    normal = draw.normal(size=(SIDE, SIDE, 3))
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[4:12, 4:12] = 255
    return {
        "source.png": cv2.blur(target, (3, 3)),
        "target.png": target,
        "mask.png": mask,
        "edges.png": canny_edges(target),
        "normal.npy": (normal / np.linalg.norm(normal, axis=2, keepdims=True)).astype(np.float16),
    }


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory):
    """Run folders of teachers that were trained for a moment, by mix and training config."""

    @cache
    def teacher(mix_name: str, name: str) -> Path:
        torch.set_num_threads(1)
        run = tmp_path_factory.mktemp(name)
        # The toy's pairs state no seed for noise in their holes; those of the recipe do.
        mix = load_config(find_config("mixes", mix_name), MixConfig, ["sources.0.roles.hole=visible"])
        recipe = mix.sources[0].recipe
        write_toy_dataset(
            run / "dataset", recipe, {"train": 8}, make_pair=drawn, family=lambda seed: "teapot"
        )
        config = load_config(find_config("training", name), TrainingConfig, SMALL_TEACHER)
        train(config, mix, run / "train", run_root=run)
        return run

    return teacher


@pytest.mark.parametrize("name", TABLE)
def test_a_row_is_what_the_paper_states_and_runs(teachers, tmp_path: Path, name: str) -> None:
    mix_name, teacher_name, evaluations, critic_steps, rate, steps, noise = TABLE[name]
    stated = load_config(find_config("distillation", name), DistillationConfig)
    assert len(stated.student_timesteps) == evaluations
    assert (stated.critic_steps, stated.student_steps, stated.steps) == (critic_steps, 1, steps)
    assert (stated.student.learning_rate, stated.critic.learning_rate) == (rate, rate)
    assert (stated.noise, stated.batch_size) == (noise, 256)
    # The decay of the EMA, a step.
    assert 0.5 ** (256 / stated.ema_half_life_images) == pytest.approx(0.99, abs=1e-5)
    teacher = load_config(find_config("training", teacher_name), TrainingConfig)
    assert isinstance(teacher.bridge, DiffusionBridge)
    seen = {one.field for one in teacher.denoiser.conditions}
    assert ("source" in seen) == (teacher.bridge.schedule.kind == "vp")
    dataset = load_config(find_config("datasets", "bridge-tasks"), DatasetConfig)
    (source,) = load_config(find_config("mixes", mix_name), MixConfig).sources
    assert dataset.recipes[source.recipe].groups["train"] > 0

    small = load_config(find_config("distillation", name), DistillationConfig, SMALL_STUDENT)
    run = teachers(mix_name, teacher_name)
    run_distillation(small, run, None, tmp_path / "student")
    newest = checkpoint_folders(tmp_path / "student" / "train" / "checkpoints")[-1]
    assert newest.name == "step-000002"
    model = TranslationModel.load(newest)
    pairs = PairSource(
        run / "dataset", source.recipe, "train", roles=source.roles.model_copy(update={"hole": None})
    )
    pair = pairs.pair(0)
    given = {}
    if "family" in seen:
        (family,) = [one for one in teacher.denoiser.conditions if one.classes]
        given = {"family": family.class_image("teapot")[None]}
    made = [
        model.translate_batch(
            pair.source[None], pair.mask[None], conditions=given, steps=evaluations, seed=seed
        )
        for seed in (0, 0, 1)
    ]
    assert made[0].shape == (1, SIDE, SIDE, 3)
    assert np.array_equal(made[0], made[1])
    if evaluations == 1 and not noise:
        assert np.array_equal(made[0], made[2])


def test_edges_are_lines_where_a_disc_ends_and_nowhere_else() -> None:
    picture = np.full((64, 64, 3), 40, np.uint8)
    cv2.circle(picture, (32, 32), 20, (200, 180, 160), -1)
    edges = canny_edges(picture)
    assert set(np.unique(edges)) == {0, 255}
    rows, columns = np.nonzero(edges)
    radius = np.hypot(rows - 32, columns - 32)
    assert np.abs(radius - 20).max() < 2
    # A line of one pixel around the whole disc: its length in steps along rows, columns and diagonals.
    assert 0.8 * 2 * np.pi * 20 < len(rows) < 1.2 * 2 * np.pi * 20
    assert not canny_edges(np.full((64, 64, 3), 128, np.uint8)).any()
