"""Two sharded ranks, killed while a checkpoint of theirs is being written: what resumes them ends as if
nothing had been, and reads no more than it needs.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp

from pairbridge.datagen.core import sealed_folders
from pairbridge.training.bridge_training.loop import BridgeTraining, train
from pairbridge.training.data.ranks import Ranks
from pairbridge.training.engine import checkpoint
from pairbridge.training.engine.checkpoint import checkpoint_folders, read_state, read_tensors
from pairbridge.training.engine.checkpoint_writer import CheckpointWriter
from pairbridge.training.engine.run_folder import run_folder
from pairbridge.training.engine.shard_files import ShardWriter
from tests.support.forked_ranks import ForkedRanks
from tests.support.toy_relighting import write_toy_dataset
from tests.training.bridge_training.test_training_loop import config, lines, mix

# A dozen launches of two ranks.
pytestmark = pytest.mark.long

HERE = "tests.training.engine.test_killed_ranks"
KINDS = ("model", "optimiser", "ema")
SHARDED = {"steps": 8, "checkpoint_every": 2, "keep_checkpoints": 2, "size": 16, "parallel": "fsdp"}
# The rank that dies, and what it was about to write of the checkpoint of the fourth step.
POINTS = {
    "before data": (1, "model"),
    "between shards": (0, "optimiser"),
    "before the manifest": (0, "manifest.json"),
}


def train_ranks(run: str, root: str, point: str | None = None) -> None:
    """In each rank. At a `point` the dying one waits until the training is further by a step."""
    further = threading.Event()

    def note(line: dict) -> None:
        if line["step"] >= 5:
            further.set()

    def die(path: Path) -> None:
        rank, name = POINTS[point]
        if dist.get_rank() == rank and path == Path(run) / "checkpoints" / "step-000004.tmp" / name:
            assert further.wait(60)
            os.kill(os.getpid(), signal.SIGKILL)

    if point:
        write_data, seal_folder = ShardWriter.write_data, checkpoint.seal_folder

        def dying_write(self, *args):
            die(self.path.parent)
            return write_data(self, *args)

        def dying_seal(folder, files):
            die(folder / "manifest.json")
            seal_folder(folder, files)

        ShardWriter.write_data = dying_write
        checkpoint.seal_folder = dying_seal
    train(config(**SHARDED), mix(), Path(run), run_root=Path(root), on_progress=note)


def train_counted(run: str, root: str) -> None:
    """In each rank: what it hashes and reads to resume goes to `read-<rank>.json` beside the run."""
    hashed, numbers = [], []
    file_sha256, read_data = sealed_folders.file_sha256, dcp.HuggingFaceStorageReader.read_data

    def hashing(path: Path) -> str:
        hashed.append(path.name)
        return file_sha256(path)

    def reading(self, plan, planner):
        numbers.append(sum(item.lengths.numel() for item in plan.items))
        return read_data(self, plan, planner)

    sealed_folders.file_sha256 = hashing
    dcp.HuggingFaceStorageReader.read_data = reading
    train(config(**SHARDED), mix(), Path(run), run_root=Path(root))
    found = {"hashed": [name for name in hashed if name.startswith("shard")], "numbers": sum(numbers)}
    Path(f"{run}-read-{dist.get_rank()}.json").write_text(json.dumps(found))


def write_again(run: str, root: str, into: str) -> None:
    """Restore the newest checkpoint of `run` and write it as that of `into`, by the ranks that there are."""
    method = BridgeTraining(config(**SHARDED), mix(), Path(run), Path(root))
    folder = newest(Path(run))
    state = read_state(folder)
    for learner in method.learners:
        learner.restore(folder, ema_updates=state.ema_updates)
    with run_folder(Path(into), Ranks.current()) as held:
        writer = CheckpointWriter(held, keep=1)
        writer.write(state, method.learners[0].tensors(), {})
        writer.wait()
        writer.close()


def newest(run: Path) -> Path:
    return checkpoint_folders(run / "checkpoints")[-1]


def same_tensors(a: Path, b: Path) -> bool:
    for kind in KINDS:
        one, other = read_tensors(newest(a), kind), read_tensors(newest(b), kind)
        if one.keys() != other.keys() or not all(torch.equal(one[name], other[name]) for name in one):
            return False
    return True


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> Iterator[ForkedRanks]:
    with ForkedRanks(tmp_path_factory.mktemp("ranks")) as ranks:
        yield ranks


@pytest.fixture(scope="module")
def root(tmp_path_factory, ranks: ForkedRanks) -> Path:
    """With the datasets, and `calm`, which nothing disturbed."""
    root = tmp_path_factory.mktemp("killed")
    write_toy_dataset(root / "a", "relighting", {"train": 12})
    write_toy_dataset(root / "b", "photos", {"train": 5}, seed=1)
    assert ranks(f"{HERE}:train_ranks", run=str(root / "calm"), root=str(root)) == [0, 0], ranks.said
    return root


@pytest.mark.parametrize("point", POINTS)
def test_a_training_killed_with_a_checkpoint_in_flight_ends_as_the_undisturbed_one(
    root: Path, ranks: ForkedRanks, point: str
) -> None:
    run = root / point.replace(" ", "-")
    ended = ranks(f"{HERE}:train_ranks", run=str(run), root=str(root), point=point)
    assert -signal.SIGKILL in ended
    assert [folder.name for folder in checkpoint_folders(run / "checkpoints")] == ["step-000002"]
    # It went on while the checkpoint was written.
    assert lines(run / "consumed.jsonl")[-1]["step"] >= 5
    assert ranks(f"{HERE}:train_ranks", run=str(run), root=str(root)) == [0, 0], ranks.said
    assert same_tensors(run, root / "calm")
    assert (run / "consumed.jsonl").read_bytes() == (root / "calm" / "consumed.jsonl").read_bytes()
    losses = [[line["loss"] for line in lines(each / "stats.jsonl")] for each in (run, root / "calm")]
    assert losses[0] == losses[1]


def test_each_rank_reads_its_half_and_names_what_is_damaged(root: Path, ranks: ForkedRanks) -> None:
    run = root / "rotten"
    assert ranks(f"{HERE}:train_ranks", run=str(run), root=str(root)) == [0, 0], ranks.said
    # A file that the second rank wrote, and looks at.
    (rotten,) = (newest(run) / "ema").glob("shard-00002.*")
    data = bytearray(rotten.read_bytes())
    data[-5] ^= 1
    rotten.write_bytes(data)
    assert ranks(f"{HERE}:train_counted", run=str(run), root=str(root)) == [0, 0], ranks.said
    (recovery,) = lines(run / "recoveries.jsonl")
    assert recovery["resumed"] == "step-000006"
    assert f"ema/{rotten.name} cannot be used" in recovery["refused"]["step-000008"]
    assert same_tensors(run, root / "calm")
    found = [json.loads((root / f"rotten-read-{rank}.json").read_text()) for rank in (0, 1)]
    for rank, read in enumerate(found):
        assert set(read["hashed"]) == {f"shard-0000{rank + 1}.safetensors"}
    folder = newest(run)
    numbers = sum(value.numel() for kind in KINDS for value in read_tensors(folder, kind).values())
    # Each its shards, and the optimiser's counters, one a weight, which every rank has.
    counters = len(read_tensors(folder, "model"))
    assert sum(read["numbers"] for read in found) == numbers + counters
    assert max(read["numbers"] for read in found) < 0.6 * numbers


def test_two_ranks_and_one_process_take_up_each_others_state_to_the_bit(
    root: Path, ranks: ForkedRanks
) -> None:
    calm, alone, again = root / "calm", root / "alone", root / "again"
    write_again(str(calm), str(root), str(alone))
    assert len(list((newest(alone) / "model").iterdir())) == 1
    assert same_tensors(alone, calm)
    arguments = {"run": str(alone), "root": str(root), "into": str(again)}
    assert ranks(f"{HERE}:write_again", **arguments) == [0, 0], ranks.said
    assert len(list((newest(again) / "model").iterdir())) == 2
    assert same_tensors(again, calm)
