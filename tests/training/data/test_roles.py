"""A mix says which fields are source, target and condition; every kind comes to the network as it must."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.shards.fields import FieldKind, FieldSpec, Roles
from pairbridge.training.data.augment import AugmentConfig, augment
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.condition_specs import ConditionConfig
from pairbridge.training.data.framing import Frame
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.data.targets import PairKinds, light_planes, seen
from pairbridge.training.data.tensors import network_images
from pairbridge.training.networks.autoencoders import HaarConfig, build_autoencoder
from pairbridge.training.networks.conditions import encode_condition
from tests.support.tiny_dataset import TinyDataset, TinyRecipe
from tests.support.toy_relighting import write_toy_dataset

SIDE = 16


def everything(seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    normal = draw.normal(size=(SIDE, SIDE, 3))
    return {
        "source.png": draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
        "target.png": draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
        "mask.png": draw.integers(0, 2, (SIDE, SIDE), dtype=np.uint8) * 255,
        "effect.png": draw.integers(0, 2, (SIDE, SIDE), dtype=np.uint8) * 255,
        "roughness.png": draw.integers(0, 65536, (SIDE, SIDE), dtype=np.uint16),
        "depth.npy": draw.uniform(1, 3, (SIDE, SIDE)).astype(np.float32),
        "normal.npy": (normal / np.linalg.norm(normal, axis=2, keepdims=True)).astype(np.float16),
        "light_target.npy": draw.gamma(0.2, 20, (8, 16, 3)).astype(np.float16),
        "category.png": draw.integers(0, 30, (SIDE, SIDE), dtype=np.uint8),
        "instance.png": draw.integers(0, 300, (SIDE, SIDE), dtype=np.uint16),
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("roles") / "a"
    return write_toy_dataset(folder, "all", {"train": 4}, make_pair=everything)


def opened(dataset: Path, *conditions: ConditionConfig, **roles: object) -> PairSource:
    return PairSource(dataset, "all", "train", roles=RoleChoice.model_validate(roles), conditions=conditions)


ENDS = ("source", "target", "effect", "depth", "normal", "light_target")


@pytest.mark.parametrize(("source", "target"), [(a, b) for a in ENDS for b in ENDS if a != b])
def test_any_kind_may_be_source_or_target(dataset: Path, source: str, target: str) -> None:
    pair = opened(dataset, source=source, target=target).pair(1, Frame((8, 8)))
    assert pair.source.shape == pair.target.shape == (8, 8, 3)
    for image in (pair.source, pair.target):
        assert image.dtype == np.uint8 or np.abs(image).max() <= 1
    assert (pair.valid is not None) == (target in ("depth", "normal"))
    assert (pair.depth is not None) == (target == "depth")


def test_a_cut_out_is_pasted_over_the_plate_where_the_mask_is(dataset: Path) -> None:
    fields = everything(1)
    mask = fields["mask.png"][..., None] == 255
    # What lies on black is 0 outside the mask; the toy's target is no cut-out, and adds up there.
    laid = np.minimum(np.where(mask, 0, fields["source.png"]).astype(int) + fields["target.png"], 255)
    pasted = opened(dataset, target="effect", paste="target")
    assert np.array_equal(pasted.pair(1).source, laid)
    assert pasted.facts != opened(dataset, target="effect").facts


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ({"paste": "nothing"}, "has no paste nothing"),
        ({"paste": "effect"}, "effect is mask"),
        ({"paste": "target", "source": "depth", "target": "effect"}, "depth is depth"),
    ],
)
def test_what_cannot_be_pasted_is_refused(dataset: Path, roles: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        opened(dataset, **roles)


def test_conditions_of_every_kind_keep_their_values(dataset: Path) -> None:
    fields = everything(1)
    conditions = [
        ConditionConfig(field="effect", encoding="resize", channels=1),
        ConditionConfig(field="depth"),
        ConditionConfig(field="normal"),
        ConditionConfig(field="roughness"),
        ConditionConfig(field="light_target", encoding="resize", channels=6),
    ]
    assert [one.shows.value for one in conditions] == ["mask", "depth", "normal", "image", "light"]
    assert [one.is_whole for one in conditions] == [False] * 4 + [True]
    pair = opened(dataset, *conditions).pair(1)
    assert np.array_equal(pair.conditions["effect"], fields["effect.png"])
    assert np.array_equal(pair.conditions["roughness"], fields["roughness.png"])
    near, far = np.percentile(fields["depth.npy"], [2, 98])
    expected = np.clip((fields["depth.npy"] - near) / (far - near), 0, 1) * 2 - 1
    np.testing.assert_allclose(pair.conditions["depth"][..., 1], expected, atol=1e-5)
    np.testing.assert_allclose(pair.conditions["normal"], fields["normal.npy"], atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(pair.conditions["normal"], axis=2), 1, atol=1e-6)
    # Light keeps its own size until there is a frame, and is then resized whole, whatever the crop.
    assert pair.conditions["light_target"].shape == (8, 16, 6)
    corner = opened(dataset, *conditions).pair(1, Frame((8, 8), scale=0.5, place_xy=(0, 0)))
    centre = opened(dataset, *conditions).pair(1, Frame((8, 8), scale=0.5, place_xy=(1, 1)))
    assert np.array_equal(corner.conditions["light_target"], centre.conditions["light_target"])
    assert not np.array_equal(corner.conditions["depth"], centre.conditions["depth"])
    # Its irradiance is made of the map as it is stored.
    own = ConditionConfig(field="light_target", encoding="irradiance")
    stored = opened(dataset, own).pair(1, Frame((8, 8))).conditions["light_target"]
    assert np.array_equal(stored, light_planes(fields["light_target.npy"]))
    with pytest.raises(ConfigError, match="to be an environment map, and effect"):
        opened(dataset, own, conditions={"light_target": "effect"})


def test_label_maps_keep_their_numbers_whatever_the_size_and_the_type(dataset: Path) -> None:
    fields = everything(1)
    conditions = [ConditionConfig(field="category", labels=30), ConditionConfig(field="instance", labels=200)]
    source = opened(dataset, *conditions)
    pair = source.pair(1)
    assert np.array_equal(pair.conditions["category"], fields["category.png"])
    # 16 bits come as 8, and numbers that are no labels as 255.
    instance = fields["instance.png"]
    assert pair.conditions["instance"].dtype == np.uint8
    assert np.array_equal(pair.conditions["instance"], np.where(instance < 200, instance, 255))
    # A mean of two labels would be a third.
    small = source.pair(1, Frame((8, 8))).conditions["category"]
    blocks = fields["category.png"].reshape(8, 2, 8, 2).transpose(0, 2, 1, 3).reshape(8, 8, 4)
    assert (blocks == small[..., None]).any(axis=-1).all()
    # Planes of a batch are those of its pairs, mirrored with them.
    loader = MixedLoader(
        MixConfig.model_validate({"sources": [{"name": "a", "path": str(dataset), "recipe": "all"}]}),
        run_root=dataset,
        buckets=BucketSequence.single(size=SIDE, batch_size=4),
        conditions=conditions,
    )
    batch = next(loader.batches())
    assert batch["category"].shape == (4, SIDE, SIDE, 1)
    levels = network_images({"category": batch["category"]})
    draws = torch.tensor([[0.0, 0.0, 0.99]]).expand(4, 3)
    mirrored = augment(AugmentConfig(flip=1, permute_colours=1), levels, draws, {"category": FieldKind.LABEL})
    haar = build_autoencoder(HaarConfig(levels=1))
    made = encode_condition(conditions[0], mirrored, torch.zeros(4, 12, 8, 8), haar)
    numbers = torch.from_numpy(np.array(batch["category"])).flip(2)[..., 0]
    for label in (0, 7, 29):
        share = (numbers == label).float().unfold(1, 2, 2).unfold(2, 2, 2).mean(dim=(-1, -2))
        assert torch.equal(made[:, label], share)


def test_a_sun_survives_in_the_second_range_and_the_first_is_what_a_display_shows() -> None:
    light = np.zeros((2, 2, 3), np.float16)
    light[0, 0], light[0, 1], light[1, 0] = 1, 100, 60000
    planes = light_planes(light)
    np.testing.assert_allclose(planes[..., 0].ravel(), [1, 1, 1, -1])
    back = np.expm1((planes[..., 3:] + 1) / 2 * np.log1p(65504.0))
    np.testing.assert_allclose(back, light.astype(np.float32), rtol=2e-3, atol=1e-3)


def test_light_is_averaged_as_light_and_not_as_its_logarithm() -> None:
    spec = FieldSpec(kind="light", encoding="radiance", channels=3, dtype="float16", shows="x")
    sun = np.zeros((4, 4, 3), np.float16)
    sun[0, 0] = 1600
    planes = seen(spec, sun, Frame((1, 1))).image
    assert np.expm1((planes[0, 0, 3] + 1) / 2 * np.log1p(65504.0)) == pytest.approx(100, rel=1e-4)


def test_light_in_two_ranges_reaches_the_network_whole_or_by_its_logarithm() -> None:
    haar = build_autoencoder(HaarConfig(levels=1))
    light, x0 = torch.rand(2, 6, 8, 8) * 2 - 1, torch.zeros(2, 12, 4, 4)
    both = ConditionConfig(field="light_source", encoding="resize", channels=6)
    width = both.width(latent_channels=12, mask_channels=haar.mask_channels)
    found = encode_condition(both, {"light_source": light}, x0, haar)
    assert found.shape == (2, width, 4, 4)
    latent = encode_condition(ConditionConfig(field="light_source"), {"light_source": light}, x0, haar)
    assert torch.equal(latent, haar.encode(light[:, 3:]))


def test_mirrored_and_recoloured_conditions_stay_true() -> None:
    images = {
        "normal": torch.rand(1, 3, 4, 4),
        "light": torch.rand(1, 6, 4, 4),
        "depth": torch.rand(1, 3, 4, 4),
    }
    kinds = {name: FieldKind(name) for name in images}
    # The last order exchanges red and blue.
    draws = torch.tensor([[0.0, 0.0, 0.99]])
    changed = augment(AugmentConfig(flip=1, permute_colours=1), images, draws, kinds)
    sign = torch.tensor([-1.0, 1.0, 1.0])[:, None, None]
    assert torch.equal(changed["normal"], images["normal"].flip(-1) * sign)
    assert torch.equal(changed["depth"], images["depth"].flip(-1))
    assert torch.equal(changed["light"], images["light"][:, [2, 1, 0, 5, 4, 3]].flip(-1))


def test_the_mix_says_what_the_source_shows_in_its_hole(tmp_path: Path) -> None:
    recipes = {name: TinyRecipe(groups={"train": 1}, kind=name) for name in ("photo_removal", "renamed")}
    recipes["renamed"] = TinyRecipe(groups={"train": 1}, kind="relighting_swap")
    folder = TinyDataset(recipes=recipes).write(tmp_path / "d")
    stated = PairSource(folder, "photo_removal", "train")
    assert stated.has_noise
    shown = PairSource(folder, "photo_removal", "train", roles=RoleChoice(hole="visible")).pair(0)
    assert np.array_equal(shown.source, shown.target)
    hollow = PairSource(folder, "renamed", "train", roles=RoleChoice(hole="noise")).pair(0)
    plain = PairSource(folder, "renamed", "train").pair(0)
    hole = hollow.mask > 0
    assert np.array_equal(hollow.source[~hole], plain.source[~hole])
    assert (hollow.source[hole] != plain.source[hole]).mean() > 0.9


def on_a_ramp(seed: int) -> dict[str, np.ndarray]:
    ramp = np.linspace(40, 200, 32, dtype=np.float32).round().astype(np.uint8)
    target = np.broadcast_to(ramp[None, :, None], (32, 32, 3)).copy()
    source = target.copy()
    source[12:18, 10:20] = np.random.default_rng(seed).integers(0, 256, 3)
    mask = np.zeros((32, 32), np.uint8)
    mask[12:18, 10:20] = 255
    return {"source.png": source, "target.png": target, "mask.png": mask}


def test_a_smooth_hole_continues_what_surrounds_it(tmp_path: Path) -> None:
    folder = write_toy_dataset(tmp_path / "ramps", "all", {"train": 1}, make_pair=on_a_ramp)
    seen_through = opened(folder, hole="visible").pair(0)
    filled = opened(folder, hole="smooth").pair(0, noise_draw=3)
    assert np.abs(seen_through.source.astype(int) - filled.target).max() > 30
    assert np.abs(filled.source.astype(int) - filled.target).max() < 12
    outside = filled.mask == 0
    assert np.array_equal(filled.source[outside], filled.target[outside])
    assert opened(folder, hole="smooth").facts != opened(folder, hole="visible").facts


@pytest.mark.parametrize(
    ("roles", "conditions", "why"),
    [
        ({"target": "albedo"}, (), "has no target albedo"),
        ({"mask": "alpha"}, (), "has no mask alpha"),
        ({"mask": "depth"}, (), "the mask, depth of .* is a depth"),
        ({"source": "depth", "hole": "noise"}, (), "the source, depth of .* and its hole is to be filled"),
        ({"source": "meta"}, (), "the source, meta of .* is meta"),
        ({}, ({"field": "edges"},), "has no condition edges"),
        ({"conditions": {"edges": "depth"}}, ({"field": "edges"},), "edges is to be image, and depth of"),
        (
            {"conditions": {"region": "category"}},
            ({"field": "region"},),
            r"region is to be image, and category of .* is label[\s\S]*write `labels: <how many>`",
        ),
        ({"conditions": {"normal": "target"}}, ({"field": "normal"},), "the condition normal is what"),
        ({"conditions": ["sun"]}, ({"field": "sun"},), "has no condition sun"),
    ],
)
def test_roles_that_no_field_can_play_are_refused(dataset: Path, roles, conditions, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        opened(dataset, *(ConditionConfig(**one) for one in conditions), **roles)


def test_what_the_dataset_states_holds_until_a_mix_says_otherwise() -> None:
    stated = Roles(source="source", target="depth", conditions={"light": "light_target"})
    own = RoleChoice(target="normal", conditions=["albedo"])
    assert RoleChoice().over(stated) == stated
    expected = {"light": "light_target", "albedo": "albedo"}
    assert own.over(stated) == stated.model_copy(update={"target": "normal", "conditions": expected})


def test_sources_agree_on_kinds_and_not_on_names(dataset: Path) -> None:
    def loader(second: dict[str, object], *conditions: ConditionConfig) -> MixedLoader:
        source = {"path": str(dataset), "recipe": "all"}
        mix = {"sources": [{**source, "name": "a"}, {**source, "name": "b", "roles": second}]}
        return MixedLoader(
            MixConfig.model_validate(mix),
            run_root=dataset,
            buckets=BucketSequence.single(size=8, batch_size=4),
            conditions=conditions,
        )

    swapped = {"source": "target", "target": "source", "conditions": {"effect": "mask"}}
    effect = ConditionConfig(field="effect")
    found = loader(swapped, effect)
    assert found.kinds == PairKinds()
    batch = next(found.batches())
    assert len(batch["keys"]) == 4
    assert batch["effect"].shape[0] == 4
    assert found.digests["mix_sources"][1]["roles"]["conditions"] == {"effect": "mask"}
    for second, role in (({"target": "normal"}, "target"), ({"source": "depth"}, "source")):
        with pytest.raises(
            ConfigError, match=f"{role}: source a has image of 3 channels, uint8, source b has"
        ):
            loader(second)


def test_a_light_map_of_one_channel_and_one_of_three_do_not_mix(tmp_path: Path) -> None:
    shapes = {"grey": (4, 8), "colour": (4, 8, 3)}
    for name, shape in shapes.items():

        def pair(seed: int, shape: tuple[int, ...] = shape) -> dict[str, np.ndarray]:
            kept = {field: value for field, value in everything(seed).items() if "light" not in field}
            return {**kept, "light.png": np.full(shape, 9, np.uint8)}

        write_toy_dataset(tmp_path / name, "all", {"train": 2}, make_pair=pair)
    sources = [{"name": name, "path": str(tmp_path / name), "recipe": "all"} for name in shapes]
    with pytest.raises(ConfigError, match="condition light: source grey has light of 1 channels"):
        MixedLoader(
            MixConfig.model_validate({"sources": sources}),
            run_root=tmp_path,
            buckets=BucketSequence.single(size=8, batch_size=2),
            conditions=(ConditionConfig(field="light"),),
        )


def with_a_disc(seed: int) -> dict[str, np.ndarray]:
    y, x = np.mgrid[:32, :32]
    disc = ((x - 14) ** 2 + (y - 18) ** 2 <= 64).astype(np.uint8) * 255
    picture = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return {"source.png": picture, "target.png": picture, "mask.png": disc}


def test_a_mix_marks_what_is_to_go_as_badly_as_it_is_told(tmp_path: Path) -> None:
    folder = write_toy_dataset(tmp_path / "discs", "all", {"train": 2}, make_pair=with_a_disc)
    exact = opened(folder)
    disc = exact.pair(0).mask
    box = opened(folder, masks={"box": 1})
    expected = np.zeros_like(disc)
    expected[10:27, 6:23] = 255
    assert (box.pair(0, noise_draw=5).mask == expected).all()
    drawn = opened(folder, masks={"scribble": 0.5, "shifted": 0.5})
    seen_masks = [drawn.pair(0, noise_draw=number).mask for number in range(6)]
    assert len({one.tobytes() for one in seen_masks}) == 6
    assert (drawn.pair(0, noise_draw=3).mask == seen_masks[3]).all()
    assert (drawn.pair(0).mask == drawn.pair(0).mask).all()
    assert drawn.facts != box.facts != exact.facts


def test_masks_of_an_evaluation_have_one_amount(tmp_path: Path) -> None:
    folder = write_toy_dataset(tmp_path / "discs", "all", {"train": 4}, make_pair=with_a_disc)
    area = (opened(folder).pair(0).mask > 0).sum()
    fifth = opened(folder, masks={"shrunk": 1}, mask_amounts={"shrunk": [0.2, 0.2]})
    drawn = opened(folder, masks={"shrunk": 1})
    kept, varied = (
        [(source.pair(place).mask > 0).sum() / area for place in range(4)] for source in (fifth, drawn)
    )
    assert kept == pytest.approx([0.8] * 4, abs=0.003)
    assert len(set(kept)) == 1 < len(set(varied))
    assert fifth.facts != drawn.facts
    with pytest.raises(ValidationError, match="mask_amounts has grown, of which `masks` draws none"):
        RoleChoice.model_validate({"masks": {"shrunk": 1}, "mask_amounts": {"grown": [0.1, 0.2]}})
