"""Depth and normals as targets, conditions on their way to the network, and what a mirror does to each."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.shards.fields import FieldKind
from pairbridge.training.data.augment import AugmentConfig, augment
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.data.targets import PairKinds, depth_target, normal_target, to_picture
from pairbridge.training.data.tensors import network_images
from pairbridge.training.networks.autoencoders import HaarConfig, build_autoencoder
from pairbridge.training.networks.conditions import encode_condition, withhold
from tests.support.toy_relighting import ball_pair, write_toy_dataset


def geometry_pair(seed: int) -> dict[str, np.ndarray]:
    """A ball in front of nothing: its depth in metres, its normals, a grey light map."""
    pair = ball_pair(seed)
    inside = pair["mask.png"] > 0
    y, x = np.mgrid[:32, :32].astype(np.float32) / 16 - 1
    normal = np.stack([x, -y, np.sqrt(np.clip(1.5 - x**2 - y**2, 0.1, None))], axis=2)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    return {
        "source.png": pair["source.png"],
        "mask.png": pair["mask.png"],
        "depth.npy": np.where(inside, 3 - normal[..., 2], 0).astype(np.float32),
        "normal.png": np.where(inside[..., None], np.rint((normal + 1) * 127.5), 0).astype(np.uint8),
        "light.png": np.random.default_rng(seed).integers(0, 256, (8, 16), dtype=np.uint8),
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("geometry") / "a"
    return write_toy_dataset(folder, "geometry", {"train": 6}, make_pair=geometry_pair)


def test_depth_is_affine_over_valid_percentiles() -> None:
    depth = np.linspace(1, 101, 101 * 4, dtype=np.float32).reshape(4, 101)
    depth[0, :5] = np.nan
    depth[0, 5:10] = 0
    target, valid = depth_target(depth)
    there = np.isfinite(depth) & (depth > 0)
    assert np.array_equal(valid == 255, there)
    near, far = np.percentile(depth[there], [2, 98])
    expected = np.clip((depth[there] - near) / (far - near) * 2 - 1, -1, 1)
    np.testing.assert_allclose(target[there], np.repeat(expected[:, None], 3, 1), atol=1e-6)
    assert not target[~there].any()
    # Scale and shift of the depth say nothing.
    np.testing.assert_allclose(
        depth_target(np.where(there, depth * 7 + 2, 0))[0][there], target[there], atol=1e-4
    )
    flat, valid = depth_target(np.full((4, 4), 2, np.float32))
    assert np.all(flat == -1)
    assert valid.all()


def test_normals_are_unit_vectors_from_either_encoding() -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(8, 8, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    vectors[0, 0] = 0
    target, valid = normal_target(vectors, None)
    np.testing.assert_allclose(target, vectors, atol=1e-6)
    assert (valid == 0).sum() == 1
    coded = np.where(vectors.any(2, keepdims=True), np.rint((vectors + 1) * 127.5), 0).astype(np.uint8)
    again, again_valid = normal_target(coded, None)
    assert np.array_equal(valid, again_valid)
    np.testing.assert_allclose(again, vectors, atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(again[valid > 0], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(to_picture(target)[1:], coded[1:], atol=1)


def test_a_source_of_the_mix_says_what_is_learned(dataset: Path) -> None:
    for kind in ("depth", "normal"):
        mix = MixConfig.model_validate(
            {
                "sources": [
                    {"name": "a", "path": str(dataset), "recipe": "geometry", "roles": {"target": kind}}
                ]
            }
        )
        loader = MixedLoader(
            mix,
            run_root=dataset,
            buckets=BucketSequence.single(size=16, batch_size=2),
            conditions=(ConditionConfig(field="light"),),
        )
        batch = network_images(
            {name: own for name, own in next(loader.batches()).items() if isinstance(own, torch.Tensor)}
        )
        assert batch["target"].shape == (2, 3, 16, 16)
        assert batch["valid"].shape == (2, 1, 16, 16)
        assert set(batch["valid"].unique().tolist()) == {0.0, 1.0}
        assert batch["target"].abs().max() <= 1
        assert batch["light"].shape == (2, 1, 16, 16)
        assert loader.digests["mix_sources"][0]["roles"]["target"] == kind
        assert loader.kinds == PairKinds(target=FieldKind(kind))


def test_geometry_takes_the_nearest_pixel(dataset: Path) -> None:
    whole = PairSource(dataset, "geometry", "train", roles=RoleChoice(target="normal")).pair(0)
    small = PairSource(dataset, "geometry", "train", roles=RoleChoice(target="normal")).pair(
        0, Frame((16, 16))
    )
    rows = {tuple(vector) for vector in whole.target.reshape(-1, 3).tolist()}
    assert {tuple(vector) for vector in small.target.reshape(-1, 3).tolist()} <= rows
    assert small.source.shape == (16, 16, 3)


def test_fields_that_a_recipe_lacks_are_refused_before_training(dataset: Path) -> None:
    with pytest.raises(ConfigError, match="has no condition edges; it has depth depth, image source"):
        PairSource(dataset, "geometry", "train", conditions=(ConditionConfig(field="edges"),))


def test_one_mix_has_one_kind_of_target(dataset: Path) -> None:
    sources = [
        {"name": kind, "path": str(dataset), "recipe": "geometry", "roles": {"target": kind}}
        for kind in ("depth", "normal")
    ]
    mix = MixConfig.model_validate({"sources": sources})
    with pytest.raises(
        ConfigError, match="target: source depth has depth of 3 channels, float32, source normal"
    ):
        MixedLoader(mix, run_root=dataset, buckets=BucketSequence.single(size=16, batch_size=2))


def test_a_mirrored_normal_looks_the_other_way_and_keeps_its_colour_order() -> None:
    images = {
        "source": torch.rand(2, 3, 4, 4),
        "target": torch.rand(2, 3, 4, 4),
        "valid": torch.rand(2, 1, 4, 4),
        "light": torch.rand(2, 3, 4, 4),
    }
    config = AugmentConfig(flip=0.5, permute_colours=1.0)
    draws = torch.tensor([[0.1, 0.0, 0.99], [0.9, 0.0, 0.99]])
    changed = augment(config, images, draws, {"target": FieldKind.NORMAL})
    sign = torch.tensor([-1.0, 1.0, 1.0])[:, None, None]
    assert torch.equal(changed["target"][0], images["target"][0].flip(-1) * sign)
    assert torch.equal(changed["target"][1], images["target"][1])
    # The last order exchanges red and blue.
    assert torch.equal(changed["source"][1], images["source"][1].flip(0))
    assert torch.equal(changed["light"][0], images["light"][0].flip(0).flip(-1))
    assert torch.equal(changed["valid"][0], images["valid"][0].flip(-1))
    depth = augment(config, images, draws, {"target": FieldKind.DEPTH})
    assert torch.equal(depth["target"][0], images["target"][0].flip(-1))


def test_conditions_through_the_autoencoder_or_resized() -> None:
    haar = build_autoencoder(HaarConfig(levels=1))
    grey, x0 = torch.rand(2, 1, 8, 8) * 2 - 1, torch.zeros(2, 12, 4, 4)
    latent = encode_condition(ConditionConfig(field="light"), {"light": grey}, x0, haar)
    assert torch.equal(latent, haar.encode(grey.expand(-1, 3, -1, -1)))
    resized = ConditionConfig(field="light", encoding="resize", channels=1)
    assert torch.equal(encode_condition(resized, {"light": grey}, x0, haar), haar.encode_mask(grey))
    colour = torch.rand(2, 3, 8, 8)
    averaged = encode_condition(resized, {"light": colour}, x0, haar)
    torch.testing.assert_close(averaged, haar.encode_mask(colour.mean(1, keepdim=True)))
    assert encode_condition(ConditionConfig(field="source"), {}, x0, haar) is x0


def test_a_condition_is_withheld_at_its_own_rate() -> None:
    configs = (ConditionConfig(field="mask", dropout=0.25), ConditionConfig(field="light"))
    seen = {name: torch.ones(4000, 1, 1, 1) for name in ("mask", "light")}
    draws = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    kept = withhold(configs, seen, draws)
    assert kept["mask"].mean() == pytest.approx(0.75, abs=0.03)
    assert torch.equal(kept["mask"].flatten() == 1, draws >= 0.25)
    assert kept["light"].all()
