"""verify proves completeness and integrity from the folder alone, and names place and remedy of whatever is
wrong.
"""

import json
import shutil
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.core.errors import ConfigError, ShardError
from pairbridge.datagen.dataset.manifest import DatasetManifest, write_manifest
from pairbridge.datagen.dataset.verify import dataset_status, manifest_streams, verify_dataset
from pairbridge.datagen.shards.records import Sidecar
from pairbridge.datagen.shards.sample import Pair
from pairbridge.datagen.shards.tar import walk_tar
from pairbridge.datagen.sourcing.fingerprints import map_fingerprint
from tests.support.tiny_dataset import TinyDataset, TinyRecipe, asset

LIGHT = map_fingerprint(np.random.default_rng(1).uniform(0.01, 9, (16, 32, 3)).astype(np.float32))
TINY = TinyDataset(
    recipes={
        "relight": TinyRecipe(groups={"train": 5, "test": 2}),
        "removal": TinyRecipe(groups={"train": 3}, kind="photo_removal", pairs_per_group=1),
    },
    holes={"relight-train-00000009": "nothing in the frame"},
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return TINY.write(tmp_path / "tiny")


def test_a_whole_dataset_has_no_findings_and_the_planned_counts(dataset: Path) -> None:
    seen: list[str] = []
    report = verify_dataset(dataset, decode=True, on_shard=seen.append)
    assert report.ok
    assert seen == [f"train-relight-{i:06d}" for i in range(3)] + ["test-relight-000000"] + [
        f"train-removal-{i:06d}" for i in range(2)
    ]
    assert report.num_bytes == sum(path.stat().st_size for path in dataset.glob("shards/*.tar"))
    counts = {
        (s.recipe, s.split): (s.pairs_made, s.holes, s.pairs_planned, s.shards_committed)
        for s in report.streams
    }
    assert counts == {
        ("relight", "train"): (9, 1, 10, 3),
        ("relight", "test"): (4, 0, 4, 1),
        ("removal", "train"): (3, 0, 3, 2),
    }
    # Counts of sidecars and of samples agree; what the samples hold, only reading them can tell.
    assert dataset_status(dataset) == tuple(replace(stream, variety=None) for stream in report.streams)
    assert all(stream.variety.budgets == (20,) for stream in report.streams)


def _delete(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names]


def _swap_keys(folder: Path) -> None:
    """Put another stream's shard under this one's name, self-consistent sidecar included."""
    path = folder / "shards" / "train-removal-000000.json"
    shutil.copy(folder / "shards" / "train-removal-000001.tar", path.with_suffix(".tar"))
    sidecar = json.loads((folder / "shards" / "train-removal-000001.json").read_text())
    sidecar["shard"]["name"] = "train-removal-000000"
    path.write_text(json.dumps(sidecar))


def _edit_json(name: str, edit: Callable[[dict], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        edit(content)
        (folder / name).write_text(json.dumps(content))

    return damage


@pytest.mark.parametrize(
    ("damage", "where", "says"),
    [
        (_delete("shards/train-relight-000001.json"), "train-relight-000001", "interrupted"),
        (
            _delete("shards/train-relight-000001.json", "shards/train-relight-000001.tar"),
            "train-relight-000001",
            "not made yet",
        ),
        (_delete("shards/train-relight-000001.tar"), "train-relight-000001", "is missing"),
        (_delete("quarantine.jsonl"), "quarantine.jsonl", "is missing"),
        (
            lambda folder: (folder / "quarantine.jsonl").write_text(""),
            "quarantine.jsonl",
            "exactly the holes",
        ),
        (lambda folder: (folder / "dataset.json").write_text("{"), "dataset.json", "not a usable"),
        (_delete("dataset.json"), "dataset.json", "No such file"),
        (
            _edit_json("dataset.json", lambda content: content["assets"][0].update(licence=" ")),
            "dataset.json",
            "the licence of asset chair-train is not known: none is stated",
        ),
        (
            _edit_json("dataset.json", lambda content: content["assets"].pop(0)),
            "train-relight-000000",
            "which dataset.json does not list",
        ),
        (
            _edit_json("dataset.json", lambda content: content["assets"][2].update(sha256="other")),
            "test-relight-000000",
            "another sha256 or licence",
        ),
        (
            _edit_json("dataset.json", lambda content: content["assets"][2].update(split="train")),
            "test-relight-000000",
            "leaks into test",
        ),
        (
            _edit_json("dataset.json", lambda content: content.update(plan_digest="0" * 64)),
            "train-relight-000000",
            "another plan",
        ),
        (
            _edit_json(
                "shards/train-relight-000002.json", lambda content: content["holes"][0].update(reason=" ")
            ),
            "train-relight-000002",
            "no reason",
        ),
        (
            _edit_json("shards/train-relight-000002.json", lambda content: content.update(holes=[])),
            "train-relight-000002",
            "1 planned samples are neither there nor in quarantine, first relight-train-00000009",
        ),
        (_swap_keys, "train-removal-000000", "2 planned samples are neither"),
        (
            lambda folder: (folder / "shards" / ".x.tar.tmp-3").write_text("x"),
            "shards/.x.tar.tmp-3",
            "no such file",
        ),
        (
            lambda folder: (folder / "shards" / "train-relight-000003.tar").write_text("x"),
            "shards/train-relight-000003.tar",
            "no such file",
        ),
        (lambda folder: shutil.rmtree(folder / "shards"), "train-relight-000000", "not made yet"),
    ],
)
def test_damage_is_a_finding_with_place_and_remedy(
    dataset: Path, damage: Callable[[Path], None], where: str, says: str
) -> None:
    damage(dataset)
    findings = verify_dataset(dataset).findings
    found = [finding for finding in findings if finding.where == where and says in finding.problem]
    assert found, findings
    assert all(finding.remedy for finding in findings)


def test_a_sidecar_forged_to_fit_a_damaged_tar_is_found(dataset: Path) -> None:
    """Even with a matching sha256: one member's bytes replaced by another PNG's start leaves nothing
    decodable.
    """
    from pairbridge.datagen.core.json_digest import file_sha256

    tar = dataset / "shards" / "train-relight-000000.tar"
    member = next(m for m in walk_tar(tar) if m.field == "target.png")
    whole = bytearray(tar.read_bytes())
    whole[member.offset + 40 : member.offset + member.size] = bytes(member.size - 40)
    tar.write_bytes(whole)
    _edit_json("shards/train-relight-000000.json", lambda content: content.update(sha256=file_sha256(tar)))(
        dataset
    )
    assert verify_dataset(dataset).ok
    findings = verify_dataset(dataset, decode=True).findings
    assert [finding.where for finding in findings] == ["train-relight-000000"]
    assert member.key in findings[0].problem
    assert "target.png" in findings[0].problem


def _second(edit: Callable[[Pair], None]) -> Callable[[Pair], None]:
    """`edit` for the second sample of the dataset alone."""
    return lambda pair: edit(pair) if pair["meta.json"]["key"] == "r-train-00000001" else None


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (
            lambda pair: pair["meta.json"]["assets"].append(
                {"role": "hdri", "id": "chair-test", "sha256": asset("test").sha256, "licence": "CC0-1.0"}
            ),
            "of split test: it leaks into train",
        ),
        (lambda pair: pair["meta.json"].update(host="here"), "other top-level keys"),
        (
            lambda pair: pair["meta.json"].update(split="test"),
            "says split 'test' instead of 'train'",
        ),
        (lambda pair: pair["meta.json"].update(assets=None), "list of assets"),
        (lambda pair: pair.update({"mask.png": np.zeros((3, 3), np.uint8)}), "differ in size"),
    ],
)
def test_samples_of_a_broken_recipe_are_named(
    tmp_path: Path, edit: Callable[[Pair], None], says: str
) -> None:
    broken = TinyDataset(recipes={"r": TinyRecipe(groups={"train": 2})}, edit=_second(edit))
    findings = verify_dataset(broken.write(tmp_path / "d"), decode=True).findings
    assert [finding.where for finding in findings] == ["train-r-000000"]
    assert findings[0].problem.startswith("r-train-00000001")
    assert says in findings[0].problem


def test_status_counts_an_unfinished_dataset(dataset: Path) -> None:
    _delete("shards/train-relight-000002.json", "shards/train-removal-000000.json")(dataset)
    counts = {
        (s.recipe, s.split): (s.pairs_made, s.shards_committed, s.complete) for s in dataset_status(dataset)
    }
    assert counts == {
        ("relight", "train"): (8, 2, False),
        ("relight", "test"): (4, 1, True),
        ("removal", "train"): (1, 1, False),
    }


def test_dataset_json_is_written_once_and_refuses_another_plan(dataset: Path) -> None:
    before = (dataset / "dataset.json").read_bytes()
    write_manifest(dataset, TINY.manifest())
    assert (dataset / "dataset.json").read_bytes() == before
    with pytest.raises(ConfigError, match="seed: 7 there, 8 now"):
        write_manifest(dataset, TINY.manifest().model_copy(update={"seed": 8}))
    (dataset / "dataset.json").write_bytes(b"[" * 10_000)
    with pytest.raises(ShardError, match="not a usable dataset description"):
        DatasetManifest.from_folder(dataset)


def test_streams_of_the_manifest_are_those_of_the_shards(dataset: Path) -> None:
    for stream in manifest_streams(DatasetManifest.from_folder(dataset)):
        keys = [
            stream.key(group, pair)
            for group in range(stream.num_groups)
            for pair in range(stream.pairs_per_group)
        ]
        sidecars = [
            Sidecar.from_file(dataset / "shards" / f"{stream.shard(index).name}.json")
            for index in range(stream.num_shards)
        ]
        there = [entry.key for sidecar in sidecars for entry in (*sidecar.samples, *sidecar.holes)]
        assert sorted(there) == keys


@pytest.mark.parametrize(
    ("same", "why"),
    [
        ({"kind": "photo", "sha256": "5a" * 32}, "their bytes are equal"),
        ({"kind": "photo", "fingerprint": "0123456789abcdef" * 2}, "they show the same picture"),
        ({"kind": "hdri", "fingerprint": LIGHT}, "they are environment maps of one scene"),
        ({"kind": "object", "group": "chair"}, "their names differ only in size, detail or version"),
    ],
)
def test_what_is_one_and_the_same_in_two_splits_is_found_from_the_disk(
    tmp_path: Path, same: dict[str, str], why: str
) -> None:
    drawn = TINY.assets
    leaking = replace(TINY, assets=(*drawn, asset("train", "cup", **same), asset("test", "mug", **same)))
    [finding] = verify_dataset(leaking.write(tmp_path / "leaking")).findings
    assert finding.where == "dataset.json"
    assert finding.problem == f"assets cup-train (train) and mug-test (test) belong together: {why}"
    apart = replace(TINY, assets=(*drawn, asset("train", "cup", **same), asset("train", "mug", **same)))
    assert verify_dataset(apart.write(tmp_path / "apart")).ok


@pytest.fixture
def bounded() -> Iterator[None]:
    """What happens in the test takes at most ten seconds and 320 MiB: the buffer of a reader of dataset.json,
    which is as large as that may be, and 64 MiB."""
    tracemalloc.start()
    began = time.monotonic()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - began < 10
    assert peak < 320 << 20


def _plan(dataset: Path, **numbers: int) -> None:
    """Have dataset.json claim other numbers than it was written with."""
    manifest = json.loads((dataset / "dataset.json").read_text())
    recipe = manifest["recipes"]["relight"]
    recipe["splits"]["train"]["groups"] = numbers.get("groups", 5)
    recipe["pairs_per_group"] = numbers.get("pairs_per_group", 2)
    manifest["groups_per_shard"] = numbers.get("groups_per_shard", 2)
    (dataset / "dataset.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ({"groups": 10**9}, "it and the 499999996 shards after it are not committed"),
        ({"groups": 10**30}, "shards after it are not committed"),
        ({"pairs_per_group": 10**9}, "1999999996 planned samples are neither there nor in quarantine"),
        ({"groups": 10**9, "groups_per_shard": 10**9}, "1999999996 planned samples are neither there"),
    ],
)
def test_a_small_dataset_json_that_plans_more_than_memory_holds_is_judged_by_what_is_there(
    dataset: Path, bounded: None, numbers: dict[str, int], problem: str
) -> None:
    _plan(dataset, **numbers)
    assert (dataset / "dataset.json").stat().st_size < 10_000
    report = verify_dataset(dataset, decode=True)
    assert any(problem in finding.problem for finding in report.findings), report.findings
    assert len(report.findings) < 20
    assert sum(stream.pairs_planned for stream in dataset_status(dataset)) > 10**9


def test_a_sidecar_that_claims_terabytes_is_held_against_its_tar(dataset: Path, bounded: None) -> None:
    path = dataset / "shards" / "test-relight-000000.json"
    sidecar = json.loads(path.read_text())
    [*_, last] = sidecar["samples"]
    field = sorted(last["fields"])[-1]
    offset, size = last["fields"][field]
    grown = 10**13 // 512 * 512
    last["fields"][field] = [offset, size + grown]
    sidecar["bytes"] += grown
    path.write_text(json.dumps(sidecar))
    problems = [finding.problem for finding in verify_dataset(dataset, decode=True).findings]
    assert any(f"instead of {sidecar['bytes']}" in problem for problem in problems), problems
    last["fields"][field] = [offset, 10**30]
    path.write_text(json.dumps(sidecar))
    [problem, *_] = [finding.problem for finding in verify_dataset(dataset).findings]
    assert "is not a usable record" in problem


def test_a_sidecar_of_one_key_fifty_thousand_times_is_refused_at_once(dataset: Path) -> None:
    path = dataset / "shards" / "test-relight-000000.json"
    sidecar = json.loads(path.read_text())
    sidecar["holes"] = [{"key": "relight-test-00000000", "reason": "x"}] * 50_000
    path.write_text(json.dumps(sidecar))
    began = time.monotonic()
    [problem, *_] = [finding.problem for finding in verify_dataset(dataset).findings]
    assert "relight-test-00000000 is listed twice" in problem
    assert time.monotonic() - began < 10
