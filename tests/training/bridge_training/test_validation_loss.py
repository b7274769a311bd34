"""The validation loss: of held-out pairs, of the EMA, the same each time, and without a trace in training."""

import json
from pathlib import Path

import pytest
import torch

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.losses import PixelLoss
from pairbridge.training.bridge_training.objective import bridge_loss, draw_step
from pairbridge.training.bridge_training.translation_model import TranslationModel
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.tensors import pixels_of
from pairbridge.training.engine.checkpoint import checkpoint_folders
from tests.support.toy_relighting import write_toy_dataset
from tests.training.bridge_training.test_training_loop import config, mix, tensors

# One Adam step of this length changes every loss; constant, so that a resume may lengthen the training.
FAST = {"optimiser": {"learning_rate": 1e-2, "warmup_images": 0, "schedule": "constant"}}
JUDGED = {**FAST, "validation": {"every_images": 8, "pairs": 6}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_toy_dataset(folder / "a", "relighting", {"train": 12, "validation": 10})
    write_toy_dataset(folder / "b", "photos", {"train": 5}, seed=1)
    return folder


def losses(run: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    return {line["step"]: line["validation_loss"] for line in lines if "validation_loss" in line}


def newest(run: Path) -> Path:
    return checkpoint_folders(run / "checkpoints")[-1]


def test_taking_it_changes_no_weight_and_a_resume_takes_the_same(root: Path, tmp_path: Path) -> None:
    train(config(steps=5, **FAST), mix(), tmp_path / "without", run_root=root)
    train(config(steps=5, **JUDGED), mix(), tmp_path / "with", run_root=root)
    a, b = (tensors(newest(tmp_path / run)) for run in ("without", "with"))
    assert all(torch.equal(a[key], b[key]) for key in a)
    # Four images a step: after 8 and 16 of them, and at the end.
    found = losses(tmp_path / "with")
    assert list(found) == [2, 4, 5]
    assert len(set(found.values())) == 3
    train(config(steps=3, **JUDGED), mix(), tmp_path / "cut", run_root=root)
    torch.manual_seed(7)
    train(config(steps=5, **JUDGED), mix(), tmp_path / "cut", run_root=root)
    again = losses(tmp_path / "cut")
    assert again.pop(3) > 0
    assert again == found


def test_it_is_the_loss_of_the_ema_on_pairs_that_training_never_saw(root: Path, tmp_path: Path) -> None:
    settings = config(steps=3, **JUDGED, loss={"pixel_weight": 0.5, "pixel_crop": 16})
    train(settings, mix(), tmp_path, run_root=root)
    model = TranslationModel.load(newest(tmp_path))
    source = PairSource(root / "a", "relighting", "validation")
    pairs = [source.pair(index, Frame((32, 32))) for index in source.spread(6)]
    # Times and noise of the figure are its own: over many others its mean is the same kind of number.
    plain = settings.model_copy(
        update={"augment": settings.augment.model_copy(update={"flip": 0.0, "permute_colours": 0.0})}
    )
    drawn = []
    for step in range(40):
        draws = draw_step(plain, model.autoencoder, step=step, samples=6, size_HW=(32, 32))
        with torch.no_grad():
            loss = bridge_loss(
                plain, model.denoiser, model.autoencoder, PixelLoss(plain.loss), pixels_of(pairs), draws
            )
        drawn.append(float(loss.per_sample.mean()))
    spread = float(torch.tensor(drawn).std())
    found = losses(tmp_path)[3]
    assert abs(found - sum(drawn) / len(drawn)) < 4 * spread
    line = json.loads((tmp_path / "stats.jsonl").read_text().splitlines()[-1])
    assert line["validation_loss"] == pytest.approx(
        line["validation_loss_latent"] + 0.5 * line["validation_loss_pixel"], rel=1e-5
    )


def test_a_mix_without_held_out_pairs_is_refused(root: Path, tmp_path: Path) -> None:
    photos = MixConfig.model_validate({"sources": [{"name": "b", "path": "run:b", "recipe": "photos"}]})
    with pytest.raises(ConfigError, match=r"validation\.every_images wants pairs"):
        train(config(**JUDGED), photos, tmp_path, run_root=root)
