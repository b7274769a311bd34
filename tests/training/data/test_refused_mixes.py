"""What could not be trained on, or would only seem to: refused when the sources are opened."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.bridge_training.losses import LossConfig
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.mix_config import MixSource
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.engine.optimiser import OptimiserConfig
from pairbridge.training.networks.conditions import withhold
from tests.support.toy_relighting import write_toy_dataset

LPIPS = {"pixel_weight": 1, "pixel_norm": "lpips", "lpips": {"vgg": "vgg.pth", "heads": "heads.pth"}}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data"), "relighting", {"train": 2})


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"field": "target"}, "the condition target is what the network is to predict"),
        ({"field": "light"}, r"has no condition light \(KeyError: 'lights'\)"),
        ({"field": "depth"}, "has no condition depth"),
        ({"field": "kind", "classes": ("a",), "read": "params.kind"}, r"no condition kind \(KeyError"),
    ],
)
def test_conditions_that_no_sample_has_or_that_are_the_answer(dataset: Path, condition, message) -> None:
    with pytest.raises(ConfigError, match=message):
        PairSource(dataset, "relighting", "train", conditions=[ConditionConfig(**condition)])


@pytest.mark.parametrize("split", ["test", "validation"])
def test_splits_that_are_held_out(split: str) -> None:
    with pytest.raises(ValidationError, match=f"split {split} is held out"):
        MixSource(name="a", path="run:a", recipe="a", split=split)


def test_a_beta_of_one_and_crops_that_lpips_cannot_see() -> None:
    for betas in ((1.0, 0.99), (0.9, 1.0), (-0.1, 0.9)):
        with pytest.raises(ValidationError, match="betas"):
            OptimiserConfig(betas=betas)
    with pytest.raises(ValidationError, match="pixel_crop 8 is below the 16 pixels"):
        LossConfig(**LPIPS, pixel_crop=8)
    with pytest.raises(ConfigError, match="a side of 8 pixels is below the 16 that LPIPS needs"):
        TrainingConfig(size=8, loss=LPIPS).bucket_sequence(8)
    assert TrainingConfig(size=16, loss=LPIPS).bucket_sequence(8).buckets[0].size_WH == (16, 16)


def test_conditions_drop_together_with_the_stated_probability() -> None:
    """Guidance compares with a network that has none of them: of two at 0.3 each that is 0.3, not 0.09."""
    configs = [ConditionConfig(field=name, dropout=p) for name, p in (("a", 0.3), ("b", 0.3), ("c", 0.1))]
    draws = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    seen = withhold(configs, {one.field: torch.ones(20_000, 1, 1, 1) for one in configs}, draws)
    gone = {name: value.flatten() == 0 for name, value in seen.items()}
    assert torch.equal(gone["a"], gone["b"])
    assert gone["a"].float().mean() == pytest.approx(0.3, abs=0.01)
    assert gone["c"].float().mean() == pytest.approx(0.1, abs=0.01)
    assert not (gone["c"] & ~gone["a"]).any()
