"""Every mix of docs/tasks.md gives batches, from datasets that store the fields it names."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
from tests.support.fences import documented
from tests.support.toy_relighting import write_toy_dataset

MIXES = [fence.text for fence in documented()["docs/tasks.md"] if fence.language == "yaml"]


def fields(seed: int) -> dict[str, np.ndarray]:
    """What a rendered recipe can store, tiny."""
    draw = np.random.default_rng(seed)
    pictures = ("source", "target", "albedo", "plate", "foreground", "delit")
    return {
        **{f"{name}.png": draw.integers(0, 256, (8, 8, 3), dtype=np.uint8) for name in pictures},
        **{f"{name}.png": np.full((8, 8), 255, np.uint8) for name in ("mask", "effect")},
        "light.png": draw.integers(0, 256, (4, 8, 3), dtype=np.uint8),
        "depth.npy": draw.uniform(1, 2, (8, 8)).astype(np.float32),
        "normal.npy": np.full((8, 8, 3), (0, 0, 1), np.float16),
        "light_target.npy": draw.gamma(0.3, 9, (4, 8, 3)).astype(np.float16),
    }


@pytest.mark.parametrize("text", MIXES)
def test_a_mix_of_the_page_gives_batches(tmp_path: Path, text: str) -> None:
    mix = MixConfig.model_validate(yaml.safe_load(text))
    plain = [
        # Their seed for the noise in a hole is that of a recipe of removal, which this is not.
        source.model_copy(update={"roles": source.roles.model_copy(update={"hole": None})})
        for source in mix.sources
    ]
    named = {name for source in plain for name in source.roles.conditions}
    labels = tuple(source.label for source in plain if source.label)
    conditions = [ConditionConfig(field=name) for name in sorted(named)]
    if labels:
        conditions.append(ConditionConfig(field="task", classes=labels, read="mix.label"))
    write_toy_dataset(tmp_path / "dataset", plain[0].recipe, {"train": 2}, make_pair=fields)
    loader = MixedLoader(
        mix.model_copy(update={"sources": tuple(plain)}),
        run_root=tmp_path,
        buckets=BucketSequence.single(size=8, batch_size=4),
        conditions=conditions,
    )
    batch = next(loader.batches())
    assert batch["source"].shape == batch["target"].shape == (4, 8, 8, 3)
    assert named <= set(batch)
    if labels:
        # A sample's class is the label of its source.
        wanted = {source.name: labels.index(source.label) for source in plain}
        assert batch["task"].flatten().tolist() == [wanted[name] for name in batch["source_names"]]
        assert len(set(batch["source_names"])) == len(labels)


def test_the_page_has_every_task() -> None:
    assert len(MIXES) == 17
