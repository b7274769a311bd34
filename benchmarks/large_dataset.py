"""The end of a large run: what counting, describing, verifying, loading and resuming cost then.

    python -m benchmarks.large_dataset [--pairs 10000 ...] [--indexed 1000000 ...] [--small 100000 ...]
                                       [--verified 3000 ...]

Each row is a dataset folder in which every command runs in a process of its own; time is that of the command
without Python's start, on the clock and of the processor, memory the most that the process ever held, imports
included.

pairs       sidecars and index as the driver commits them; tars are sparse files of the right size
indexed     the index as above, sidecars sparse too: nothing that is measured on them opens one
small       the same in shards of twelve pairs: what a shard costs a loader that starts
verified    real tars of images of 8x8 pixels, for `verify` (without decoding), which reads all of it

Writes `large_dataset.json` and `large_dataset.md`.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from pairbridge.datagen.dataset.card import write_card
from pairbridge.datagen.dataset.manifest import DatasetManifest, write_manifest
from pairbridge.datagen.dataset.verify import manifest_streams, verify_dataset
from pairbridge.datagen.shards.commit import write_quarantine, write_sidecar
from pairbridge.datagen.shards.indexed_shard import SidecarState, packed
from pairbridge.datagen.shards.layout import ShardSpec, sidecar_path, tar_path
from pairbridge.datagen.shards.reader import open_shards
from pairbridge.datagen.shards.records import Hole, SampleRecord, Sidecar
from pairbridge.datagen.shards.shard_index import INDEX_NAME
from pairbridge.datagen.shards.tar import BLOCK, TRAILER, padding
from pairbridge.pipelines.generation.status import Watched
from pairbridge.pipelines.shelves.shelf import FolderShelf
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

PAIRS_PER_GROUP = 4
PAIRS_PER_SHARD = 1000  # of 1 MB: shards of a gigabyte
PAIRS_PER_SMALL_SHARD = 12
HOLED = 100  # one in so many
FAR = 100_000_000
SIZES = {"mask.png": 20_000, "meta.json": 2_000, "source.png": 480_000, "target.png": 490_000}
WANTED = {
    "status": {"seconds": 2, "peak_mib": 300},
    "card": {"peak_mib": 500},
    "verify": {"peak_mib": 500},
    "loader": {"seconds": 5},
    "loader of 10,000 shards": {"seconds": 1},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, nargs="*", default=[10_000, 30_000, 100_000])
    parser.add_argument("--indexed", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--small", type=int, nargs="*", default=[12 * 10_000])
    parser.add_argument("--verified", type=int, nargs="*", default=[3_000, 10_000])
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--one", nargs=2, metavar=("COMMAND", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one[0], Path(arguments.one[1]))))
        return
    rows = [
        *(measured("pairs", count, commit_real, COMMANDS) for count in arguments.pairs),
        *(measured("indexed", count, index_alone, COMMANDS) for count in arguments.indexed),
        *(measured("small", count, index_of_small_shards, ["loader"]) for count in arguments.small),
        *(measured("verified", count, write_tars, ["verify"]) for count in arguments.verified),
    ]
    result = {"wanted": WANTED, "rows": rows}
    (arguments.out / "large_dataset.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "large_dataset.md").write_text(markdown(result))
    print(markdown(result))


def measured(
    kind: str, pairs: int, make: Callable[[Path, int], None], commands: list[str]
) -> dict[str, object]:
    """Make a dataset and run the commands on it, each in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="pairbridge-large-") as scratch:
        folder = Path(scratch) / "large"
        began = time.monotonic()
        make(folder, pairs)
        row: dict[str, object] = {
            "kind": kind,
            "pairs": pairs,
            "shards": len(list((folder / "shards").glob("*.tar"))),
            "made_s": round(time.monotonic() - began, 1),
            "index_bytes_per_pair": round((folder / INDEX_NAME).stat().st_size / pairs, 1),
            "sidecar_bytes_per_pair": round(
                sum(path.stat().st_size for path in (folder / "shards").glob("*.json")) / pairs
            ),
        }
        for command in commands:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.large_dataset", "--one", command, str(folder)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                env=os.environ | {"PAIRBRIDGE_CACHE": f"{scratch}/cache"},
            )
            row[command] = json.loads(done.stdout.splitlines()[-1])
        print(json.dumps(row), flush=True)
        return row


def one(command: str, folder: Path) -> dict[str, float]:
    """Run one command; its seconds, and the most that this process ever held."""
    began = _clocks()
    run = {"status": status, "card": card, "verify": verify, "loader": loader, "resume": resume}[command]
    began = run(folder) or began
    seconds, cpu_s = (now - before for now, before in zip(_clocks(), began, strict=True))
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return {
        "seconds": round(seconds, 3),
        "cpu_s": round(cpu_s, 3),
        "peak_mib": round(int(line.split()[1]) / 1024, 1),
    }


def _clocks() -> tuple[float, float]:
    """Seconds of the clock, and of the processor."""
    return time.monotonic(), time.process_time()


COMMANDS = ["status", "card", "loader", "resume"]


def status(folder: Path) -> None:
    _, counts = Watched(folder).look()
    assert counts["complete"], counts


def card(folder: Path) -> None:
    """What a run writes at its end: quarantine.jsonl, README.md and croissant.json."""
    write_quarantine(folder)
    write_card(folder)


def loader(folder: Path) -> tuple[float, float]:
    """Up to where the first batch would be read; when that began."""
    # Here: torch takes more memory than all that the other commands hold.
    from pairbridge.training.data.buckets import BucketSequence
    from pairbridge.training.data.loader import MixedLoader
    from pairbridge.training.data.mix_config import MixConfig

    next(open_shards(folder, "relighting", "train")).prove()
    began = _clocks()
    source = {"name": "large", "path": str(folder), "recipe": "relighting", "split": "train", "weight": 1}
    made = MixedLoader(
        MixConfig.model_validate({"sources": [source]}),
        run_root=folder,
        buckets=BucketSequence.single(size=512, batch_size=8),
    )
    made.draws.batch(0)
    return began


def resume(folder: Path) -> None:
    """What a driver asks before it makes anything."""
    dataset, shelf = dataset_of(_pairs_in(folder)), FolderShelf(folder)
    assert all(shelf.committed(dataset.shard_info(shard)) for shard in _shards(dataset))


def verify(folder: Path) -> None:
    report = verify_dataset(folder)
    assert report.ok, report.findings[:3]


def dataset_of(pairs: int, size: int = 512, per_shard: int = PAIRS_PER_SHARD) -> TinyDataset:
    recipe = TinyRecipe(
        groups={"train": pairs // PAIRS_PER_GROUP}, pairs_per_group=PAIRS_PER_GROUP, size_WH=(size, size)
    )
    return TinyDataset(recipes={"relighting": recipe}, groups_per_shard=per_shard // PAIRS_PER_GROUP)


def commit_real(folder: Path, pairs: int) -> None:
    """Sidecars through the commit's own second step."""
    dataset = _begin(folder, dataset_of(pairs))
    for shard in _shards(dataset):
        sidecar = sidecar_of(dataset, shard)
        _sparse(tar_path(folder / "shards", shard.name), sidecar.bytes)
        write_sidecar(folder / "shards", sidecar)


def index_of_small_shards(folder: Path, pairs: int) -> None:
    index_alone(folder, pairs, PAIRS_PER_SMALL_SHARD)


def index_alone(folder: Path, pairs: int, per_shard: int = PAIRS_PER_SHARD) -> None:
    """The index of the same sidecars, which are sparse files of the size that the first one has."""
    dataset = _begin(folder, dataset_of(pairs, per_shard=per_shard))
    size = 0
    with open(folder / INDEX_NAME, "ab") as index:
        for shard in _shards(dataset):
            sidecar = sidecar_of(dataset, shard)
            size = size or len(sidecar.to_json())
            path = sidecar_path(folder / "shards", shard.name)
            _sparse(tar_path(folder / "shards", shard.name), sidecar.bytes)
            _sparse(path, size)
            index.write(packed(sidecar, SidecarState.of(path), bytes(32)))


def write_tars(folder: Path, pairs: int) -> None:
    """A whole dataset of tiny images."""
    dataset_of(pairs, size=8).write(folder)


def sidecar_of(dataset: TinyDataset, shard: ShardSpec) -> Sidecar:
    """As `commit_shard` would write it, had the shard images of `SIZES`."""
    samples, holes = [], []
    for number, key in enumerate(key for group in shard.groups for key in shard.stream.keys(group)):
        if number % HOLED == HOLED - 1:
            holes.append(Hole(key=key, reason="mask_empty", gate=None))
            continue
        # Not validated here: it is as the commit makes them, and ten million take minutes.
        samples.append(
            SampleRecord.model_construct(key=key, fields=_fields(len(samples)), size_WH=(512, 512))
        )
    num_bytes = len(samples) * _sample_bytes() + len(TRAILER)
    return Sidecar.model_construct(
        shard=dataset.shard_info(shard),
        sha256=_sha256_of_zeros(num_bytes),
        bytes=num_bytes,
        count=len(samples),
        samples=tuple(samples),
        holes=tuple(holes),
        rejections=(),
    )


@lru_cache(maxsize=PAIRS_PER_SHARD)
def _fields(number: int) -> dict[str, tuple[int, int]]:
    """Of the sample of this number in any shard."""
    fields, position = {}, number * _sample_bytes()
    for name, size in SIZES.items():
        fields[name] = (position + BLOCK, size)
        position += BLOCK + size + padding(size)
    return fields


def _sample_bytes() -> int:
    return sum(BLOCK + size + padding(size) for size in SIZES.values())


def _begin(folder: Path, dataset: TinyDataset) -> TinyDataset:
    (folder / "shards").mkdir(parents=True)
    write_manifest(folder, dataset.manifest())
    return dataset


def _shards(dataset: TinyDataset) -> list[ShardSpec]:
    (stream,) = manifest_streams(dataset.manifest())
    return [stream.shard(number) for number in range(stream.num_shards)]


def _pairs_in(folder: Path) -> int:
    return DatasetManifest.from_folder(folder).recipes["relighting"].splits["train"].pairs


@lru_cache
def _sha256_of_zeros(size: int) -> str:
    """Of a sparse tar, which a reader compares before it looks for a sample in it."""
    hasher, chunk = hashlib.sha256(), bytes(1 << 20)
    for _ in range(size // len(chunk)):
        hasher.update(chunk)
    hasher.update(bytes(size % len(chunk)))
    return hasher.hexdigest()


def _sparse(path: Path, size: int) -> None:
    with open(path, "wb") as stream:
        stream.truncate(size)


def far_ahead(result: dict) -> list[tuple[str, float, float]]:
    """(command, seconds of the processor, MiB) for `FAR` pairs, by what the largest three sizes took."""
    rows = sorted((row for row in result["rows"] if "status" in row), key=lambda row: row["pairs"])[-3:]
    if len(rows) < 3:
        return []
    pairs = [row["pairs"] for row in rows]

    def at_far(name: str, figure: str) -> float:
        return float(np.polyval(np.polyfit(pairs, [row[name][figure] for row in rows], 1), FAR))

    return [(name, at_far(name, "cpu_s"), at_far(name, "peak_mib")) for name in COMMANDS]


def markdown(result: dict) -> str:
    lines = [
        "# A large dataset",
        "",
        "What the end of a large run costs, written by `python -m benchmarks.large_dataset`. Each command",
        "runs in a process of its own: seconds without Python's start and imports (those of the processor",
        "in brackets, without the disk and without other work on the machine), and MiB at the peak, imports",
        f"included. Shards have {PAIRS_PER_SHARD} pairs of 1 MB; one pair in {HOLED} is in quarantine.",
        "",
        "- *pairs*: index and sidecars as the driver commits them, sparse tars.",
        "- *indexed*: sidecars are sparse too; none of these commands opens one.",
        f"- *small*: the same, in shards of {PAIRS_PER_SMALL_SHARD} pairs.",
        "- *verified*: real tars of images of 8x8 pixels; `verify` reads and parses all, shard by shard.",
        "- `card` is quarantine.jsonl, README.md and croissant.json; `resume` what a driver asks first.",
        "- `loader` reads a sample of the first tar, which was compared with its sha256 before. The first",
        "  time ever that takes as long as reading the tar.",
        "",
        "| dataset | pairs | shards | sidecars, B a pair | index, B a pair | status | card | loader | resume"
        " | verify |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        cells = [
            "{seconds:.2f} s ({cpu_s:.2f}), {peak_mib:.0f} MiB".format(**row[name]) if name in row else ""
            for name in (*COMMANDS, "verify")
        ]
        lines.append(
            f"| {row['kind']} | {row['pairs']:,} | {row['shards']:,} | {row['sidecar_bytes_per_pair']} |"
            f" {row['index_bytes_per_pair']} | {' | '.join(cells)} |"
        )
    far = [
        f"- `{name}`: {cpu_s:.1f} s of the processor, {mib:,.0f} MiB"
        for name, cpu_s, mib in far_ahead(result)
    ]
    if far:
        lines += ["", f"{FAR:,} pairs, by straight lines through the three largest of these sizes:", "", *far]
    wanted = [
        f"- `{name}`: " + ", ".join(f"{figure} <= {most}" for figure, most in limits.items())
        for name, limits in result["wanted"].items()
    ]
    return "\n".join([*lines, "", "Asked for ten million pairs:", "", *wanted]) + "\n"


if __name__ == "__main__":
    main()
