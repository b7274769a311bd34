"""Latents made once: what training on them learns, that they resume, and what they are refused for."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from pydantic import ValidationError

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.shards.proven_files import DataReplaced
from pairbridge.datagen.shards.reader import open_shard
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.datagen.shards.tar import walk_tar
from pairbridge.pipelines.inference.encoding import encode_dataset
from pairbridge.training.bridge_training import latent_encoding
from pairbridge.training.bridge_training.loop import train
from pairbridge.training.bridge_training.training_config import TrainingConfig
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.pairs import PairSource
from pairbridge.training.data.role_choice import RoleChoice
from pairbridge.training.engine.checkpoint import CheckpointError, read_tensors
from pairbridge.training.engine.run_log import read_lines
from pairbridge.training.networks.autoencoders import build_autoencoder
from tests.support.sidecars import read_sidecars
from tests.support.tiny_dataset import TinyDataset, TinyRecipe, commit_as_it_is
from tests.support.toy_relighting import SIZE, ball_pair, write_toy_dataset


def _autoencoder(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=0.5,
        shift_factor=0.1,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory) -> Path:
    return _autoencoder(tmp_path_factory.mktemp("autoencoder"), 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_toy_dataset(tmp_path / "a", "relighting", {"train": 12})
    write_toy_dataset(tmp_path / "b", "photos", {"train": 5}, seed=1)
    return tmp_path


def _config(folder: Path, **changes) -> TrainingConfig:
    plain = {
        "steps": 6,
        "checkpoint_every": 3,
        "batch_size": 4,
        "size": SIZE,
        "autoencoder": {"kind": "folder", "path": folder},
        "denoiser": {"widths": (8, 16), "head_width": 8, "norm_groups": 4, "conditions": ("mask", "source")},
        "augment": {"flip": 0},
        "loss": {"pixel_weight": 1.0, "pixel_crop": 16},
        "threads": 1,
        "loader_workers": 0,
        "log_every": 1,
        "watch": {"trackers": ()},
    }
    return TrainingConfig.model_validate({**plain, **changes})


def _mix(**changes) -> MixConfig:
    sources = [
        {"name": "synthetic", "path": "run:a", "recipe": "relighting", "weight": 0.7},
        {"name": "photos", "path": "run:b", "recipe": "photos", "weight": 0.3},
    ]
    return MixConfig.model_validate({"sources": sources, **changes})


def _encode(config: TrainingConfig, root: Path, **options) -> list[Path]:
    wanted = {"recipes": (), "split": "train", "roles": RoleChoice(), **options}
    return [folder for name in ("a", "b") for folder in encode_dataset(config, root / name, **wanted)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["folder", "haar"])
def test_training_on_cached_latents_is_training_on_encoded_ones(
    root: Path, autoencoder: Path, kind: str, workers: int
) -> None:
    own = {} if kind == "folder" else {"autoencoder": {"kind": "haar", "levels": 2}}
    encoded = _config(autoencoder, **own)
    cached = _config(autoencoder, **own, latents="cached", loader_workers=workers)
    _encode(cached, root)
    one = train(encoded, _mix(), root / "encoded", run_root=root)
    other = train(cached, _mix(), root / "cached", run_root=root)
    keys = [read_lines(root / run / "consumed.jsonl") for run in ("encoded", "cached")]
    assert keys[0] == keys[1]
    losses = [
        [(line["loss_latent"], line["loss_pixel"]) for line in read_lines(root / run / "stats.jsonl")]
        for run in ("encoded", "cached")
    ]
    assert len(losses[0]) == 6
    # A convolution's last bits depend on how many images go through it together.
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    one_ema, other_ema = (read_tensors(run.checkpoint, "ema") for run in (one, other))
    for name, value in one_ema.items():
        torch.testing.assert_close(value, other_ema[name], rtol=1e-3, atol=2e-5)


def _depth_pair(seed: int) -> dict[str, np.ndarray]:
    pair = ball_pair(seed)
    draw = np.random.default_rng(seed)
    depth = np.linspace(1, 5, SIZE, dtype=np.float32)[:, None] + draw.uniform(0, 1, (SIZE, SIZE))
    depth[: SIZE // 3, : SIZE // 2] = 0
    return {**pair, "depth.npy": depth.astype(np.float32)}


def test_cached_depth_knows_where_it_holds(tmp_path: Path, autoencoder: Path) -> None:
    write_toy_dataset(tmp_path / "d", "geometry", {"train": 6}, make_pair=_depth_pair)
    mix = _mix(sources=[{"name": "d", "path": "run:d", "recipe": "geometry", "roles": {"target": "depth"}}])
    encoded, cached = _config(autoencoder), _config(autoencoder, latents="cached")
    encode_dataset(cached, tmp_path / "d", recipes=(), split="train", roles=RoleChoice(target="depth"))
    losses = []
    for name, config in (("encoded", encoded), ("cached", cached)):
        train(config, mix, tmp_path / name, run_root=tmp_path)
        lines = read_lines(tmp_path / name / "stats.jsonl")
        losses.append([(line["loss_latent"], line["loss_pixel"]) for line in lines])
    assert len(losses[0]) == 6
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_without_a_pixel_loss_no_image_is_opened(root: Path, autoencoder: Path) -> None:
    config = _config(autoencoder, latents="cached", loss={"pixel_weight": 0})
    _encode(config, root)
    for tar in [*root.glob("a/shards/*.tar"), *root.glob("b/shards/*.tar")]:
        tar.write_bytes(bytes(tar.stat().st_size))
    result = train(config, _mix(), root / "cached", run_root=root)
    assert result.step == 6
    assert result.consumed == {"synthetic": 17, "photos": 7}


def test_latents_are_the_mean_in_the_scale_that_training_uses(root: Path, autoencoder: Path) -> None:
    config = _config(autoencoder)
    (folder, _) = _encode(config, root)
    shard = open_shard(folder / "shards" / "train-relighting-000000.tar")
    assert shard.fields == (
        "mean_source.npy",
        "mean_target.npy",
        "seen_mask.npy",
    )
    pairs = PairSource(root / "a", "relighting", "train")
    assert shard.keys == [pairs.key(index) for index in range(12)]
    image = torch.from_numpy(pairs.pair(7).target).permute(2, 0, 1)[None] / 127.5 - 1
    model = AutoencoderKL.from_pretrained(autoencoder)
    with torch.no_grad():
        own = model.encode(image).latent_dist
    sample = shard.read(7)
    mean = torch.from_numpy(decode_field("mean_target.npy", sample["mean_target.npy"]))
    torch.testing.assert_close(mean, ((own.mean - 0.1) * 0.5)[0])
    built = build_autoencoder(config.autoencoder)
    torch.testing.assert_close(built.encode(image), mean[None])


def test_kill_and_resume_gives_the_same_shards(root: Path, autoencoder: Path, monkeypatch) -> None:
    config = _config(autoencoder)
    monkeypatch.setattr("pairbridge.training.data.latent_cache.PAIRS_PER_SHARD", 5)
    monkeypatch.setattr(latent_encoding, "PAIRS_PER_SHARD", 5)
    shutil.copytree(root / "a", root / "undisturbed")
    (calm,) = encode_dataset(config, root / "undisturbed", recipes=(), split="train", roles=RoleChoice())

    class Killed(BaseException):
        pass

    def kill(what: str, done: int, total: int) -> None:
        if done > 7:
            raise Killed

    with pytest.raises(Killed):
        _encode(config, root, on_progress=kill)
    (folder,) = (root / "a" / "latents").iterdir()
    first = folder / "shards" / "train-relighting-000000.tar"
    assert [path.name for path in sorted((folder / "shards").glob("*.tar"))] == [first.name]
    before = first.stat().st_mtime_ns
    _encode(config, root)
    assert first.stat().st_mtime_ns == before
    names = sorted(path.name for path in (calm / "shards").iterdir())
    assert names == sorted(path.name for path in (folder / "shards").iterdir())
    assert len(names) == 6
    for name in names:
        assert file_sha256(calm / "shards" / name) == file_sha256(folder / "shards" / name)


def test_latents_of_another_autoencoder_size_or_dataset_are_refused(root: Path, autoencoder: Path) -> None:
    config = _config(autoencoder, latents="cached")
    with pytest.raises(ConfigError, match="it has none"):
        train(config, _mix(), root / "run", run_root=root)
    _encode(config, root)
    train(config, _mix(), root / "run", run_root=root)

    other = _autoencoder(root / "other", 1)
    with pytest.raises(ConfigError, match="no latents of relighting/train by other"):
        train(_config(other, latents="cached"), _mix(), root / "fresh", run_root=root)
    with pytest.raises(ConfigError, match="at 24x24"):
        train(_config(autoencoder, latents="cached", size=24), _mix(), root / "fresh", run_root=root)
    with pytest.raises((ConfigError, CheckpointError)):
        train(_config(other, latents="cached"), _mix(), root / "run", run_root=root)

    # The same folder with other pairs under it: its latents are of pairs that are no longer there.
    shutil.rmtree(root / "b" / "shards")
    (root / "b" / "dataset.json").unlink()
    write_toy_dataset(root / "again", "photos", {"train": 5}, seed=2)
    shutil.move(root / "again" / "shards", root / "b" / "shards")
    shutil.move(root / "again" / "dataset.json", root / "b" / "dataset.json")
    with pytest.raises(ConfigError, match="another plan"):
        train(config, _mix(), root / "fresh", run_root=root)


def test_what_changes_pixels_in_every_epoch_cannot_be_cached(root: Path, autoencoder: Path) -> None:
    with pytest.raises(ValidationError, match="set augment"):
        _config(autoencoder, latents="cached", augment={"flip": 0.5})
    config = _config(autoencoder, latents="cached")
    _encode(config, root)
    with pytest.raises(ConfigError, match="random_crop"):
        train(config, _mix(random_crop=0.5), root / "run", run_root=root)
    TinyDataset(recipes={"c": TinyRecipe(groups={"train": 3}, kind="photo_removal")}).write(root / "c")
    removal = {"name": "c", "path": "run:c", "recipe": "c"}
    with pytest.raises(ConfigError, match="source c has noise in its hole"):
        train(config.model_copy(update={"size": 16}), _mix(sources=[removal]), root / "run", run_root=root)
    with pytest.raises(ConfigError, match="has a hole with noise"):
        encode_dataset(config, root / "c", recipes=("c",), split="train", roles=RoleChoice())


def test_a_pair_without_images_is_a_hole_and_replaced_by_its_own_source(
    root: Path, autoencoder: Path
) -> None:
    tar = root / "a" / "shards" / "train-relighting-000000.tar"
    whole = bytearray(tar.read_bytes())
    for member in walk_tar(tar):
        if member.key.endswith("00000003") and member.field == "mask.png":
            whole[member.offset : member.offset + member.size] = bytes(member.size)
    tar.write_bytes(whole)
    commit_as_it_is(tar)
    config = _config(autoencoder, latents="cached", steps=8, loss={"pixel_weight": 0})
    folder, _ = _encode(config, root)
    (sidecar,) = read_sidecars(folder / "shards")
    assert [hole.key for hole in sidecar.holes] == ["relighting-train-00000003"]
    train(config, _mix(), root / "run", run_root=root)
    lines = read_lines(root / "run" / "consumed.jsonl")
    replaced = [entry for line in lines for entry in line["substitutes"]]
    assert {entry["wanted"] for entry in replaced} == {"synthetic/relighting-train-00000003"}
    assert all(
        entry["used"].startswith("synthetic/") and "is a hole" in entry["reason"] for entry in replaced
    )
    keys = [key for line in lines for key in line["keys"]]
    assert "synthetic/relighting-train-00000004" in keys
    assert "synthetic/relighting-train-00000003" not in keys

    # A number of a latent, which no checksum of its own protects.
    latents = folder / "shards" / "train-relighting-000000.tar"
    whole = bytearray(latents.read_bytes())
    member = next(one for one in walk_tar(latents) if one.field == "mean_target.npy")
    whole[member.offset + member.size - 1] ^= 1
    latents.write_bytes(whole)
    with pytest.raises(DataReplaced, match=r"latents/.*train-relighting-000000\.tar"):
        train(config, _mix(), root / "again", run_root=root)


def test_buckets_read_the_latents_of_their_own_size(root: Path, autoencoder: Path) -> None:
    buckets = {
        "budgets": [
            {"side": 16, "batch_size": 4, "weight": 0.5},
            {"side": 32, "batch_size": 2, "weight": 0.5},
        ],
        "aspects": [1, 2],
    }
    config = _config(autoencoder, latents="cached", buckets=buckets, steps=8)
    _encode(config, root)
    assert len(list((root / "a" / "latents").iterdir())) == 4
    assert train(config, _mix(), root / "run", run_root=root).step == 8
