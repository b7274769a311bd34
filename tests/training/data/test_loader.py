"""Exact mixing where it counts: shares from the keys delivered, for any workers and ranks, and across every
resume.
"""

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from pydantic import ValidationError

from pairbridge.datagen.core.errors import ConfigError, PairbridgeError
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.shards import proven_files
from pairbridge.datagen.shards.proven_files import DataReplaced
from pairbridge.datagen.shards.tar import walk_tar
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.draws import Draw
from pairbridge.training.data.loader import MAX_BAD_IN_A_ROW, MixedLoader, SourceUnreadable
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.data.tensors import network_images
from tests.support.tiny_dataset import SPLITS, TinyDataset, TinyRecipe, asset, commit_as_it_is

WEIGHTS = {2: (0.9, 0.1), 3: (0.55, 0.25, 0.2), 5: (0.4, 0.3, 0.15, 0.1, 0.05)}
BATCH = 8

TINY = TinyDataset(
    recipes={
        "a": TinyRecipe(groups={"train": 9}, size_WH=(24, 24)),
        "b": TinyRecipe(groups={"train": 3}, size_WH=(40, 30)),
        "c": TinyRecipe(groups={"train": 5}, kind="photo_removal"),
        "d": TinyRecipe(groups={"train": 2}),
        "e": TinyRecipe(groups={"train": 1}, pairs_per_group=1),
    },
    holes={"a-train-00000004": "dark"},
)


@pytest.fixture(scope="module")
def run_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run")
    TINY.write(root / "dataset")
    return root


def _source(recipe: str, weight: float = 1.0) -> dict:
    return {"name": f"source-{recipe}", "path": "run:dataset", "recipe": recipe, "weight": weight}


def _mix(num_sources: int, **options) -> MixConfig:
    sources = [_source(recipe, weight) for recipe, weight in zip("abcde", WEIGHTS[num_sources], strict=False)]
    return MixConfig.model_validate({"seed": 11, "sources": sources, **options})


def _loader(run_root: Path, mix: MixConfig, **options) -> MixedLoader:
    buckets = BucketSequence.single(size=16, batch_size=options.pop("batch_size", BATCH))
    return MixedLoader(mix, run_root=run_root, **{"buckets": buckets, **options})


def _batches(loader: MixedLoader, count: int, start: int = 0) -> list[dict]:
    return list(islice(loader.batches(start), count))


def _assert_shares(batches: list[list[str]], mix: MixConfig) -> None:
    """Within 1 - 1/(2k-2) samples of every share at every batch boundary, counted from the keys."""
    weights = {source.name: Fraction(str(source.weight)) for source in mix.sources}
    bound = 1 - Fraction(1, 2 * len(weights) - 2)
    counts: Counter[str] = Counter()
    for keys in batches:
        assert len(keys) == BATCH
        counts.update(key.split("/")[0] for key in keys)
        total = sum(counts.values())
        for name, weight in weights.items():
            assert abs(counts[name] - total * weight) <= bound


def _assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other[name]), name
        else:
            assert value == other[name], name


def _disturb_global_generators() -> None:
    for disturb in (random.seed, np.random.seed, torch.manual_seed):
        disturb(int.from_bytes(os.urandom(4), "little"))


@pytest.mark.parametrize("workers", [0, 2, 4])
@pytest.mark.parametrize("num_sources", [2, 3, 5])
def test_shares_are_exact_and_batches_the_same_for_any_workers(
    run_root: Path, num_sources: int, workers: int
) -> None:
    mix = _mix(num_sources, random_crop=0.5)
    alone = _batches(_loader(run_root, mix), 30)
    _disturb_global_generators()
    batches = _batches(_loader(run_root, mix, workers=workers), 30)
    _assert_shares([batch["keys"] for batch in batches], mix)
    for one, other in zip(alone, batches, strict=True):
        _assert_same(one, other)


def test_a_batch_is_what_the_contract_says(run_root: Path) -> None:
    batch = _batches(_loader(run_root, _mix(3)), 1, start=5)[0]
    assert (batch["number"], batch["batch_size"]) == (5, BATCH)
    images = network_images({name: batch[name] for name in ("source", "target", "mask")})
    for name, channels, low in (("source", 3, -1), ("target", 3, -1), ("mask", 1, 0)):
        assert batch[name].shape == (BATCH, 16, 16, *([3] if channels == 3 else []))
        assert batch[name].dtype == torch.uint8
        assert images[name].shape == (BATCH, channels, 16, 16)
        assert images[name].dtype == torch.float32
        assert low <= images[name].min() < low + 0.1
        assert 0.9 < images[name].max() <= 1
    assert batch["source_names"] == [key.split("/")[0] for key in batch["keys"]]
    assert all(
        key.split("/")[1].startswith(f"{name[-1]}-train-")
        for key, name in zip(batch["keys"], batch["source_names"], strict=True)
    )
    assert batch["substitutes"] == []


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_every_level_becomes_its_float_to_the_last_bit(kind: type) -> None:
    most = np.iinfo(kind).max
    levels = np.arange(most + 1, dtype=kind).reshape(1, 16, -1)
    pixels = {"mask": torch.from_numpy(levels), "source": torch.from_numpy(np.stack([levels] * 3, axis=-1))}
    images = network_images(pixels)
    exact = levels.astype(np.float32)
    assert np.array_equal(images["mask"][:, 0].numpy(), exact / np.float32(most))
    for plane in images["source"][0]:
        assert np.array_equal(plane.numpy()[None], exact / np.float32(most / 2) - np.float32(1))
    assert images["source"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_from_every_one_of_20_steps_gives_identical_batches(run_root: Path, workers: int) -> None:
    mix = _mix(5, random_crop=0.6)
    whole = _batches(_loader(run_root, mix), 24)
    for step in range(20):
        _disturb_global_generators()
        resumed = _batches(_loader(run_root, mix, workers=workers), 3, start=step)
        for one, other in zip(whole[step : step + 3], resumed, strict=True):
            _assert_same(one, other)


def test_epochs_of_a_source_replay_neither_order_nor_noise_nor_crop(run_root: Path) -> None:
    mix = MixConfig.model_validate(
        {"random_crop": 0.5, "sources": [{"name": "c", "path": "run:dataset", "recipe": "c"}]}
    )
    rows: dict[str, list[torch.Tensor]] = {}
    orders = []
    for batch in _batches(_loader(run_root, mix, batch_size=10), 3):
        orders.append(batch["keys"])
        for key, source in zip(batch["keys"], batch["source"], strict=True):
            rows.setdefault(key, []).append(source)
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert all(len(seen) == 3 and not torch.equal(seen[0], seen[1]) for seen in rows.values())


def test_no_global_generator_is_read_or_moved(run_root: Path) -> None:
    _disturb_global_generators()
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    _batches(_loader(run_root, _mix(2), workers=2), 4)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_stop_ends_without_a_repeated_pair(run_root: Path) -> None:
    loader = _loader(run_root, _mix(2, on_exhausted="stop"), batch_size=4)
    keys = [key for batch in loader.batches() for key in batch["keys"]]
    # 17 pairs of a at nine in ten: 18 draws fit, of which 17 at most are of a.
    assert loader.num_batches == 4
    assert len(keys) == len(set(keys)) == 16


@pytest.mark.parametrize("world", [1, 2, 4])
def test_ranks_share_the_global_batch_without_overlap(run_root: Path, world: int) -> None:
    mix = _mix(3)
    whole = _batches(_loader(run_root, mix), 10)
    parts = [_batches(_loader(run_root, mix, ranks=Ranks(rank, world)), 10) for rank in range(world)]
    for number, batch in enumerate(whole):
        assert [key for part in parts for key in part[number]["keys"]] == batch["keys"]
        assert torch.equal(torch.cat([part[number]["source"] for part in parts]), batch["source"])


def test_ranks_that_do_not_divide_the_batch_are_refused(run_root: Path) -> None:
    with pytest.raises(ConfigError, match="among 3 ranks"):
        _loader(run_root, _mix(2), ranks=Ranks(0, 3))


GLOO_CASES = ((2, 0), (3, 1), (5, 0))  # sources, workers of each rank


def _rank_main(rank: int, world: int, run_root: str, out: str) -> None:
    # A process per rank, as under torchrun. Loader workers of a spawned process are spawned too, not forked.
    dist.init_process_group("gloo", init_method=f"file://{out}/rendezvous", rank=rank, world_size=world)
    for num_sources, workers in GLOO_CASES:
        loader = _loader(Path(run_root), _mix(num_sources), workers=workers)
        delivered = []
        for batch in islice(loader.batches(), 12):
            gathered: list = [None] * world
            dist.all_gather_object(gathered, batch["keys"])
            delivered.append(" ".join(key for keys in gathered for key in keys))
        if rank == 0:
            Path(out, f"{num_sources}.txt").write_text("\n".join(delivered))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.long
def test_two_gloo_ranks_deliver_exact_shares(run_root: Path, tmp_path: Path) -> None:
    mp.spawn(_rank_main, args=(2, str(run_root), str(tmp_path)), nprocs=2)
    for num_sources, _ in GLOO_CASES:
        delivered = [line.split() for line in (tmp_path / f"{num_sources}.txt").read_text().splitlines()]
        mix = _mix(num_sources)
        _assert_shares(delivered, mix)
        assert delivered == [batch["keys"] for batch in _batches(_loader(run_root, mix), 12)]


@pytest.fixture
def damaged(tmp_path: Path):
    """A function that writes the dataset anew with the masks of some of recipe a's samples zeroed when it was
    committed: its records are of these bytes.
    """

    def damage(keys: set[str]) -> Path:
        TINY.write(tmp_path / "dataset")
        for tar in sorted((tmp_path / "dataset" / "shards").glob("train-a-*.tar")):
            whole = bytearray(tar.read_bytes())
            for member in walk_tar(tar):
                if member.key in keys and member.field == "mask.png":
                    whole[member.offset : member.offset + member.size] = bytes(member.size)
            tar.write_bytes(whole)
            commit_as_it_is(tar)
        return tmp_path

    return damage


@pytest.mark.parametrize("workers", [0, 2])
def test_a_corrupt_pair_is_replaced_by_its_own_source_and_reported(
    run_root: Path, damaged, workers: int
) -> None:
    bad = {"a-train-00000000", "a-train-00000007"}
    root = damaged(bad)
    mix = _mix(3)
    whole = _batches(_loader(run_root, mix), 20)
    batches = _batches(_loader(root, mix, workers=workers), 20)
    _assert_shares([batch["keys"] for batch in batches], mix)
    replaced = 0
    for clean, batch in zip(whole, batches, strict=True):
        wanted = [key for key in clean["keys"] if key.split("/")[1] in bad]
        assert [entry["wanted"] for entry in batch["substitutes"]] == wanted
        changed = [pair for pair in zip(clean["keys"], batch["keys"], strict=True) if pair[0] != pair[1]]
        assert changed == [(entry["wanted"], entry["used"]) for entry in batch["substitutes"]]
        assert all("mask.png" in entry["reason"] for entry in batch["substitutes"])
        replaced += len(changed)
    assert replaced >= 5
    again = _batches(_loader(root, mix), 3, start=17)
    for one, other in zip(batches[17:], again, strict=True):
        _assert_same(one, other)


def _flip(tar: Path, field: str) -> None:
    """One byte of the data of a member, in the middle: the file's size and headers stay."""
    whole = bytearray(tar.read_bytes())
    member = next(one for one in walk_tar(tar) if one.field == field)
    whole[member.offset + member.size // 2] ^= 1
    tar.write_bytes(whole)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_tar_with_other_bytes_than_its_sidecar_states_stops_training_by_name(
    tmp_path: Path, workers: int
) -> None:
    """Arrays have no checksum of their own: nothing but the tar's digest tells other depths from these."""
    TinyDataset(recipes={"a": TinyRecipe(groups={"train": 2}, kind="geometry")}).write(tmp_path / "dataset")
    mix = MixConfig.model_validate({"sources": [_source("a")]})
    assert len(_batches(_loader(tmp_path, mix), 2)) == 2
    for tar in sorted((tmp_path / "dataset" / "shards").glob("*.tar")):
        _flip(tar, "depth.npy")
    with pytest.raises(DataReplaced, match=r"train-a-\d+\.tar is not the file that its record was"):
        _batches(_loader(tmp_path, mix, workers=workers), 2)


def test_a_tar_is_read_whole_once_and_again_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TINY.write(tmp_path / "dataset")
    tars = sorted((tmp_path / "dataset" / "shards").glob("train-a-*.tar"))
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return file_sha256(path)

    monkeypatch.setattr(proven_files, "file_sha256", counted)
    loader = _loader(tmp_path, _mix(2))
    for start in (0, 12):
        _batches(loader, 12, start)
    assert sorted(path for path in read if path in tars) == tars
    read.clear()
    _batches(_loader(tmp_path, _mix(2)), 12)
    assert not read
    # The same bytes in another file, as a restored copy is.
    content = tars[0].read_bytes()
    tars[0].unlink()
    tars[0].write_bytes(content)
    _batches(loader, 12)
    assert read == tars[:1]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_source_stops_training_and_is_named(damaged, workers: int) -> None:
    root = damaged({f"a-train-{index:08d}" for index in range(18)})
    with pytest.raises(SourceUnreadable, match=f"source source-a: {MAX_BAD_IN_A_ROW} pairs in a row"):
        _batches(_loader(root, _mix(2), workers=workers), 5)


@pytest.mark.parametrize("ending", ["pass", "raise KeyError", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_no_way_of_ending_waits_for_what_is_read_ahead(run_root: Path, ending: str) -> None:
    program = f"""
import os, signal
from pathlib import Path
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
buckets = BucketSequence.single(size=16, batch_size=8)
mix = MixConfig.model_validate({_mix(2).model_dump(mode="json")!r})
batches = MixedLoader(mix, run_root=Path({str(run_root)!r}), buckets=buckets, workers=2).batches()
next(batches)
print("read", flush=True)
{ending}
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.stdout == "read\n"


def test_batches_that_nobody_asks_for_any_more_are_not_read(run_root: Path) -> None:
    batches = _loader(run_root, _mix(2), workers=2).batches()
    next(batches)
    assert any(thread.name.startswith("pairs") for thread in threading.enumerate())
    batches.close()
    assert not any(thread.name.startswith("pairs") for thread in threading.enumerate())


def test_digests_change_with_all_that_moves_the_data_and_nothing_else(run_root: Path, tmp_path: Path) -> None:
    base = _loader(run_root, _mix(2)).digests
    assert _loader(run_root, _mix(2), workers=4).digests == base
    TINY.write(tmp_path / "dataset")
    assert _loader(tmp_path, _mix(2)).digests == base
    scaled = _mix(2).model_dump()
    for source in scaled["sources"]:
        source["weight"] *= 100
    assert _loader(run_root, MixConfig.model_validate(scaled)).digests == base
    TinyDataset(recipes=TINY.recipes).write(tmp_path / "other" / "dataset")
    others = [
        _loader(run_root, _mix(3)),
        _loader(run_root, _mix(2, seed=12)),
        _loader(run_root, _mix(2, on_exhausted="stop")),
        _loader(run_root, _mix(2, random_crop=0.9)),
        _loader(run_root, _mix(2), batch_size=16),
        _loader(tmp_path / "other", _mix(2)),
    ]
    assert all(other.digests != base for other in others)


def test_mix_files_are_checked(run_root: Path) -> None:
    source = {"name": "a", "path": "run:dataset", "recipe": "a"}
    for wrong in (
        {"sources": []},
        {"sources": [source, source]},
        {"sources": [{**source, "weight": 0}]},
        {"sources": [{**source, "weight": float("nan")}]},
        {"sources": [{**source, "split": "dev"}]},
        {"sources": [source], "on_exhausted": "loop"},
        {"sources": [{**source, "wieght": 1}]},
    ):
        with pytest.raises(ValidationError):
            MixConfig.model_validate(wrong)
    relative = MixConfig.model_validate({"sources": [{**source, "path": "dataset"}]})
    with pytest.raises(PairbridgeError, match="is relative"):
        _loader(run_root, relative)


def test_substitutes_come_from_a_stream_of_their_own(run_root: Path) -> None:
    draws = _loader(run_root, _mix(2)).draws
    draw = Draw(source=0, number=5, index=3, bucket=0)
    stand_ins = [draws.substitute(draw, attempt) for attempt in range(MAX_BAD_IN_A_ROW)]
    assert stand_ins == [draws.substitute(draw, attempt) for attempt in range(MAX_BAD_IN_A_ROW)]
    assert {(s.source, s.number) for s in stand_ins} == {(0, 5)}
    assert len({s.index for s in stand_ins}) > 2


def test_a_mix_that_trains_on_what_another_of_its_datasets_holds_out_is_refused(tmp_path: Path) -> None:
    same = {"kind": "photo", "sha256": "5a" * 32}
    recipes = {"a": TinyRecipe(groups={"train": 2})}
    for name, split in (("one", "train"), ("two", "test"), ("three", "train")):
        drawn = tuple(asset(one) for one in SPLITS)
        assets = (*drawn, asset(split, f"picture-{name}", **same))
        TinyDataset(name=name, recipes=recipes, assets=assets).write(tmp_path / name)

    def mixed(*names: str) -> MixedLoader:
        sources = [{"name": name, "path": f"run:{name}", "recipe": "a"} for name in names]
        return _loader(tmp_path, MixConfig.model_validate({"sources": sources}), batch_size=2)

    with pytest.raises(
        ConfigError, match=r"picture-one-train is in train of .*one, picture-two-test in test of .*two"
    ):
        mixed("one", "two")
    assert mixed("one", "three").num_batches is None
