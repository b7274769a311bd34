"""Whatever bytes a shard, a sidecar or a field is made of, a reader answers with what was committed or with a
ShardError: no other exception, no other sample, no code run, no memory beyond the file's own size.
"""

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pairbridge.datagen.core.errors import ShardError
from pairbridge.datagen.dataset.manifest import DatasetManifest
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.shards.reader import Shard, open_shard
from pairbridge.datagen.shards.records import GroupRecord, Sidecar
from pairbridge.datagen.shards.sample import decode_field, encode_field
from pairbridge.datagen.shards.tar import walk_tar
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

BOUNDED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipes = {"fuzzed": TinyRecipe(groups={"train": 2}, size_WH=(8, 8))}
    return TinyDataset(recipes=recipes).write(tmp_path_factory.mktemp("fuzz") / "set")


@pytest.fixture(scope="module")
def tar(dataset: Path) -> Path:
    return dataset / "shards" / "train-fuzzed-000000.tar"


def damage(data: bytes, draw: Callable) -> bytes:
    """A few edits at random places: bytes changed, cut out, doubled, put in, or the rest cut off."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        size = draw(st.sampled_from([1, 1, 2, 16, 512, 1024]))
        match draw(st.sampled_from(["change", "cut", "double", "insert", "end"])):
            case "change":
                data[at : at + size] = draw(st.binary(min_size=size, max_size=size))
            case "cut":
                del data[at : at + size]
            case "double":
                data[at:at] = data[at : at + size]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=size))
            case "end":
                del data[at:]
    return bytes(data)


@given(data=st.data())
@BOUNDED
def test_a_damaged_tar_is_walked_without_a_gap_or_refused(tar: Path, tmp_path: Path, data) -> None:
    fuzzed = tmp_path / tar.name
    fuzzed.write_bytes(damage(tar.read_bytes(), data.draw))
    end = 0
    try:
        for member in walk_tar(fuzzed):
            assert member.offset == end + 512
            end = member.offset + member.size + -member.size % 512
    except ShardError:
        return
    # A member that is missing as a whole leaves a tar like any other: what tells is the sidecar, below.
    assert end + 1024 == fuzzed.stat().st_size


@given(data=st.data())
@BOUNDED
def test_no_damage_to_a_shard_passes_verify(dataset: Path, tar: Path, tmp_path: Path, data) -> None:
    copy = tmp_path / "set"
    shutil.copytree(dataset, copy, dirs_exist_ok=True)
    target = copy / "shards" / data.draw(st.sampled_from([tar.name, tar.with_suffix(".json").name]))
    before = target.read_bytes()
    target.write_bytes(damage(before, data.draw))
    # White space in the JSON of a sidecar is no damage.
    same = target.read_bytes() == before or (
        target.suffix == ".json" and _json(target.read_bytes()) == json.loads(before)
    )
    assert verify_dataset(copy).ok == same


@given(data=st.data())
@BOUNDED
def test_a_sample_of_a_damaged_tar_has_the_committed_headers_or_is_refused(
    tar: Path, tmp_path: Path, data
) -> None:
    original = tar.read_bytes()
    fuzzed = tmp_path / "shards" / tar.name
    fuzzed.parent.mkdir(exist_ok=True)
    fuzzed.with_suffix(".json").write_bytes(tar.with_suffix(".json").read_bytes())
    # Of the committed size: any other is refused when the shard is opened.
    fuzzed.write_bytes(damage(original, data.draw)[: len(original)].ljust(len(original), b"\0"))
    shard, whole = open_shard(fuzzed), open_shard(tar)
    for index in range(len(whole)):
        try:
            sample = shard.read(index)
        except ShardError:
            continue
        assert {field: len(value) for field, value in sample.items()} == {
            field: len(value) for field, value in whole.read(index).items()
        }


@given(data=st.data())
@BOUNDED
def test_a_damaged_sidecar_is_refused_or_describes_a_layout_without_gaps(
    tar: Path, tmp_path: Path, data
) -> None:
    sidecar_bytes = tar.with_suffix(".json").read_bytes()
    fuzzed = tmp_path / tar.with_suffix(".json").name
    fuzzed.write_bytes(damage(sidecar_bytes, data.draw))
    (tmp_path / tar.name).write_bytes(tar.read_bytes())
    try:
        sidecar = Sidecar.from_file(fuzzed)
        shard = Shard.of(tmp_path, sidecar)
    except ShardError:
        return
    ends = [0]
    for sample in sidecar.samples:
        for field in sorted(sample.fields):
            offset, size = sample.fields[field]
            assert offset == ends[-1] + 512
            ends.append(offset + size + -size % 512)
    assert ends[-1] + 1024 == sidecar.bytes == tar.stat().st_size
    for index in range(len(shard)):
        try:
            shard.read(index)
        except ShardError:
            continue


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(value=JSON_VALUES, key=st.sampled_from(["samples", "holes", "shard", "bytes", "count", "format"]))
@BOUNDED
def test_a_sidecar_with_any_json_in_it_is_refused_or_still_consistent(
    tar: Path, tmp_path: Path, value, key: str
) -> None:
    content = json.loads(tar.with_suffix(".json").read_bytes())
    fuzzed = tmp_path / tar.with_suffix(".json").name
    fuzzed.write_text(json.dumps(content | {key: value}))
    try:
        sidecar = Sidecar.from_file(fuzzed)
    except ShardError:
        return
    assert sidecar.count == len(sidecar.samples)


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * 5_000_000,
        b'{"a":' * 1_000_000 + b"1" + b"}" * 1_000_000,
        b"9" * 1_000_000,
        b'{"' + b"k" * 1_000_000 + b'":1}',
        b"[" + b"[]," * 1_000_000 + b"[]]",
    ],
)
def test_json_bombs_are_refused_by_every_reader(tmp_path: Path, bomb: bytes) -> None:
    path = tmp_path / "train-fuzzed-000000.json"
    path.write_bytes(bomb)
    with pytest.raises(ShardError):
        Sidecar.from_file(path)
    with pytest.raises(ShardError):
        GroupRecord.from_json(bomb)
    (tmp_path / "dataset.json").write_bytes(bomb)
    with pytest.raises(ShardError):
        DatasetManifest.from_folder(tmp_path)


def test_deep_and_huge_json_fields_are_refused() -> None:
    for bomb in (b"[" * 1_000_000, b"9" * 10_000, b'"' + b"a" * (5 << 20) + b'"', b"\xff\xfe"):
        with pytest.raises(ShardError):
            decode_field("meta.json", bomb)


def test_an_array_that_claims_terabytes_is_refused_before_memory_is_taken() -> None:
    data = encode_field("depth.npy", np.zeros((4, 4), np.float32))
    bomb = data.replace(b"(4, 4), }" + b" " * 30, b"(99999999999, 4), }" + b" " * 20)
    assert bomb != data
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for claimed in (bomb, data[:-1], data + b"\0"):
        with pytest.raises(ShardError, match="bytes"):
            decode_field("depth.npy", claimed)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_arrays_of_objects_are_never_unpickled() -> None:
    import io
    import pickle

    class Payload:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was opened",))

    buffer = io.BytesIO()
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    buffer.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    pickle.dump(np.array([Payload()], object), buffer)
    with pytest.raises(ShardError):
        decode_field("depth.npy", buffer.getvalue())


VALUES = {
    "target.png": np.arange(192, dtype=np.uint8).reshape(8, 8, 3),
    "mask.png": np.arange(64, dtype=np.uint8).reshape(8, 8),
    "depth.npy": np.arange(64, dtype=np.float32).reshape(8, 8),
    "meta.json": {"key": "a", "assets": [{"id": "b"}], "params": '{"fill_seed":3}'},
}


@pytest.mark.parametrize("field", sorted(VALUES))
@given(data=st.data())
@BOUNDED
def test_a_damaged_field_decodes_or_is_refused(field: str, data) -> None:
    try:
        decode_field(field, damage(encode_field(field, VALUES[field]), data.draw))
    except ShardError:
        return


@pytest.mark.parametrize("field", sorted(VALUES))
@given(content=st.binary(max_size=4096))
@BOUNDED
def test_any_bytes_decode_or_are_refused(field: str, content: bytes) -> None:
    try:
        decode_field(field, content)
    except ShardError:
        return
