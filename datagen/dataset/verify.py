"""Completeness and integrity of a dataset, proved from its folder alone: no plan, no ledger, no counters.

`verify_dataset` recomputes from dataset.json every shard and key that must exist and looks for each on
disk. Damage is never an exception here: it becomes a finding with the place and the remedy, and the search
goes on.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

from pairbridge.datagen.core.errors import PairbridgeError, ShardError
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.datagen.core.splits import SPLITS
from pairbridge.datagen.dataset.manifest import MANIFEST_NAME, DatasetManifest, assets_of_unknown_licence
from pairbridge.datagen.dataset.sample_check import SampleCheck
from pairbridge.datagen.dataset.variety import Variety
from pairbridge.datagen.shards.commit import check_tar_size, quarantine_jsonl
from pairbridge.datagen.shards.indexed_shard import IndexedShard
from pairbridge.datagen.shards.layout import ShardSpec, Stream, sidecar_path, tar_path
from pairbridge.datagen.shards.mirror import local_folder, origin, sync
from pairbridge.datagen.shards.object_store import ObjectStore, cache_root, is_url
from pairbridge.datagen.shards.reader import Shard
from pairbridge.datagen.shards.records import Sidecar
from pairbridge.datagen.shards.shard_index import ShardIndex
from pairbridge.datagen.shards.tar import walk_tar
from pairbridge.datagen.sourcing.content_groups import leaks

_REBUILD = "delete the shard's .tar and .json and run `pairbridge generate` again: only it is rebuilt"
_RESUME = "run `pairbridge generate` with the same config: it makes what is missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where (a shard or a file of the dataset), what, and what to do."""

    where: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus:
    """Counts of one recipe in one split, from the sidecars on disk."""

    recipe: str
    split: str
    pairs_planned: int
    pairs_made: int
    holes: int
    shards_planned: int
    shards_committed: int
    variety: Variety | None = None  # where the samples themselves were read

    @property
    def complete(self) -> bool:
        return self.shards_committed == self.shards_planned


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Outcome of `verify_dataset`; the dataset is whole exactly when `ok`."""

    dataset: str
    streams: tuple[StreamStatus, ...]
    findings: tuple[Finding, ...]
    num_bytes: int

    @property
    def ok(self) -> bool:
        return not self.findings


def manifest_streams(manifest: DatasetManifest) -> Iterator[Stream]:
    """The plan's streams, rebuilt from dataset.json."""
    for recipe_id, recipe in manifest.recipes.items():
        # By name of split rather than as stored: canonical JSON sorts, and people read train first.
        for split in [split for split in SPLITS if split in recipe.splits]:
            entry = recipe.splits[split]
            yield Stream(
                recipe_id=recipe_id,
                kind=recipe.kind,
                split=split,
                num_groups=entry.groups,
                pairs_per_group=recipe.pairs_per_group,
                groups_per_shard=manifest.plan_of(recipe_id).groups_per_shard,
                fields=tuple(sorted(recipe.fields)),
            )


def dataset_status(dataset: str | Path) -> tuple[StreamStatus, ...]:
    """Planned and committed counts per recipe and split; looks at no tar, so it is quick and can be wrong
    about damaged ones. Raises ShardError if dataset.json or a sidecar is unusable."""
    dataset_dir = local_folder(dataset)
    manifest = DatasetManifest.from_folder(dataset_dir)
    return stream_counts(manifest, ShardIndex(dataset_dir / "shards"))


def stream_counts(manifest: DatasetManifest, shards: Iterable[IndexedShard]) -> tuple[StreamStatus, ...]:
    """Planned counts per recipe and split, and those of the committed `shards` that are planned."""
    streams = {stream.name: stream for stream in manifest_streams(manifest)}
    counts = {name: _Count() for name in streams}
    for shard in shards:
        name = shard.name.rpartition("-")[0]
        # By what there is: a manifest may plan more shards than anyone could look for.
        if name in streams and streams[name].number_of(shard.name) is not None:
            counts[name].add(shard.count, shard.num_holes)
    return tuple(counts[name].status(stream) for name, stream in streams.items())


@dataclass(slots=True)
class _Count:
    """Of the committed shards of one stream."""

    shards: int = 0
    pairs: int = 0
    holes: int = 0

    def add(self, pairs: int, holes: int) -> None:
        self.shards += 1
        self.pairs += pairs
        self.holes += holes

    def status(self, stream: Stream, variety: Variety | None = None) -> StreamStatus:
        return StreamStatus(
            recipe=stream.recipe_id,
            split=stream.split,
            pairs_planned=stream.num_pairs,
            pairs_made=self.pairs,
            holes=self.holes,
            shards_planned=stream.num_shards,
            shards_committed=self.shards,
            variety=variety,
        )


def verify_dataset(
    dataset: str | Path,
    *,
    decode: bool = False,
    require_known_licences: bool = False,
    on_shard: Callable[[str], None] = lambda name: None,
) -> Report:
    """Check every planned shard and sample. `decode` also decodes every image and array, which takes most
    of the time; `require_known_licences` also names assets whose licence cannot be ranked
    (`pairbridge.datagen.assets.licences`); `on_shard` is called with each shard's name before it is read.

    Of a dataset on an object store (`dataset` is its URL) everything is copied anew, one shard at a time:
    what counts is what the store holds, not what a cache remembers. Raises StoreFailed if it does not answer.
    """
    if not is_url(dataset):
        tars = _stems(Path(dataset) / "shards", ".tar")
        return _verify(Path(dataset), tars, nullcontext, decode, require_known_licences, on_shard)
    cache_root().mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="verify-", dir=cache_root()) as scratch:
        folder = Path(scratch) / Path(str(dataset)).name
        store = ObjectStore(str(dataset))
        sync(str(dataset), folder)
        listed = store.list("shards")

        @contextmanager
        def tar_of(shard_name: str) -> Iterator[None]:
            name = f"shards/{shard_name}.tar"
            if name in listed:
                store.fetch(name, folder / name)
            yield
            (folder / name).unlink(missing_ok=True)

        tars = {Path(name).stem for name in listed if name.endswith(".tar")}
        report = _verify(folder, tars, tar_of, decode, require_known_licences, on_shard)
        manifest = DatasetManifest.from_folder(folder) if (folder / MANIFEST_NAME).is_file() else None
        foreign = _check_folder(manifest, sorted(Path(name).name for name in listed)) if manifest else ()
        return replace(report, findings=(*report.findings, *foreign))


def _verify(
    dataset_dir: Path,
    tars: Set[str],
    tar_of: Callable[[str], AbstractContextManager],
    decode: bool,
    require_known_licences: bool,
    on_shard: Callable[[str], None],
) -> Report:
    try:
        manifest = DatasetManifest.from_folder(dataset_dir)
    except ShardError as error:
        finding = Finding(MANIFEST_NAME, error.cause, error.remedy)
        return Report(dataset=dataset_dir.name, streams=(), findings=(finding,), num_bytes=0)
    findings: list[Finding] = [*_check_licences(manifest, require_known_licences), *_check_leaks(manifest)]
    checks = SampleCheck(manifest, decode=decode)
    index = ShardIndex(dataset_dir / "shards")
    statuses: list[StreamStatus] = []
    readable: list[str] = []
    num_bytes = 0
    for stream in manifest_streams(manifest):
        count = _Count()
        there = _numbers_there(stream, tars | _stems(dataset_dir / "shards", ".json"))
        findings += _not_made(stream, there)
        for number in there:
            shard = stream.shard(number)
            on_shard(shard.name)
            with tar_of(shard.name):
                sidecar, problems = _check_shard(dataset_dir / "shards", manifest, shard, checks)
            findings += problems
            if sidecar is not None:
                # One at a time: those of ten million pairs take 24 GB. What the quarantine needs is then in
                # the index, which is held against each of them here.
                index.prove(sidecar)
                readable.append(shard.name)
                count.add(sidecar.count, len(sidecar.holes))
                num_bytes += sidecar.bytes
        statuses.append(count.status(stream, checks.variety(stream)))
    shards_dir = dataset_dir / "shards"
    if origin(shards_dir) is None:
        names = sorted(path.name for path in shards_dir.iterdir()) if shards_dir.is_dir() else []
        findings += _check_folder(manifest, names)
    committed = [shard for name in readable if (shard := index.find(name)) is not None]
    findings += _check_quarantine(dataset_dir, committed)
    return Report(
        dataset=manifest.name,
        streams=tuple(statuses),
        findings=tuple(findings),
        num_bytes=num_bytes,
    )


def _stems(shards_dir: Path, suffix: str) -> set[str]:
    return {path.stem for path in shards_dir.glob(f"*{suffix}")}


def _numbers_there(stream: Stream, names: Iterable[str]) -> list[int]:
    """Ascending numbers of the stream's shards among `names`."""
    return sorted(index for name in names if (index := stream.number_of(name)) is not None)


def _not_made(stream: Stream, there: list[int]) -> Iterator[Finding]:
    """One finding for each run of shards of which there is nothing at all."""
    for before, after in pairwise([-1, *there, stream.num_shards]):
        count = after - before - 1
        if count == 1:
            yield Finding(
                stream.shard(before + 1).name, "the shard is not committed: it was not made yet", _RESUME
            )
        elif count:
            problem = f"it and the {count - 1} shards after it are not committed: they were not made yet"
            yield Finding(stream.shard(before + 1).name, problem, _RESUME)


def _check_shard(
    shards_dir: Path, manifest: DatasetManifest, shard: ShardSpec, checks: SampleCheck
) -> tuple[Sidecar | None, list[Finding]]:
    """(sidecar if it is usable, findings)."""
    name = shard.name
    tar = tar_path(shards_dir, name)
    if not sidecar_path(shards_dir, name).exists():
        problem = "the shard is not committed: its tar has no sidecar, so it was interrupted"
        return None, [Finding(name, problem, _RESUME)]
    try:
        sidecar = Sidecar.from_file(sidecar_path(shards_dir, name))
    except ShardError as error:
        return None, [Finding(name, error.cause, _REBUILD)]
    problems = [
        *_compare_with_plan(manifest, shard, sidecar),
        *_check_draws(manifest, shard, sidecar),
        *_compare_with_tar(shards_dir, sidecar),
    ]
    if tar.is_file():
        problems += _check_samples(shards_dir, shard, sidecar, checks)
    return sidecar, [Finding(name, problem, _REBUILD) for problem in dict.fromkeys(problems)]


def _compare_with_plan(manifest: DatasetManifest, shard: ShardSpec, sidecar: Sidecar) -> Iterator[str]:
    info = sidecar.shard
    plan = manifest.plan_of(shard.stream.recipe_id)
    plan_digest = plan.plan_digest_at(shard.stream.name, shard.groups[-1])
    if (info.plan_digest, info.config_digest) != (plan_digest, plan.config_digest):
        yield "it was made by another plan or config than dataset.json states"
    if (info.first_group, info.num_groups) != (shard.first_group, shard.num_groups):
        planned = f"{shard.first_group}+{shard.num_groups}"
        yield f"it holds groups {info.first_group}+{info.num_groups} instead of {planned}"
    made = [sample.key for sample in sidecar.samples]
    accounted = {*made, *(hole.key for hole in sidecar.holes)}
    extra = sorted(key for key in accounted if not shard.stream.holds(shard, key))
    missing = shard.num_groups * shard.stream.pairs_per_group - (len(accounted) - len(extra))
    if missing:
        # One by one, and no further than the first: the plan may claim more than memory holds.
        planned = (
            shard.stream.key(group, pair)
            for group in shard.groups
            for pair in range(shard.stream.pairs_per_group)
        )
        first = next(key for key in planned if key not in accounted)
        yield f"{missing} planned samples are neither there nor in quarantine, first {first}"
    if extra:
        yield f"{len(extra)} samples were never planned, first {extra[0]}"
    if made != sorted(made):
        yield "its samples are not in planned order"
    unexplained = [hole.key for hole in sidecar.holes if not hole.reason.strip()]
    if unexplained:
        yield f"{len(unexplained)} holes have no reason, first {unexplained[0]}"
    odd = [sample.key for sample in sidecar.samples if tuple(sorted(sample.fields)) != shard.stream.fields]
    if odd:
        yield f"{len(odd)} samples have other fields than {', '.join(shard.stream.fields)}, first {odd[0]}"


def _check_draws(manifest: DatasetManifest, shard: ShardSpec, sidecar: Sidecar) -> Iterator[str]:
    """Every draw before a sample's own was refused by a gate, and a gate's hole comes after the last."""
    last = manifest.recipes[shard.stream.recipe_id].redraws
    refused = Counter(rejection.key for rejection in sidecar.rejections)
    for sample in sidecar.samples:
        if refused[sample.key] > last:
            yield f"{sample.key} was drawn {refused[sample.key] + 1} times, and the plan allows {last + 1}"
    for hole in sidecar.holes:
        if hole.gate is not None and refused[hole.key] != last + 1:
            yield f"{hole.key} was given up after {refused[hole.key]} of {last + 1} draws"
    unknown = sorted(refused.keys() - {entry.key for entry in (*sidecar.samples, *sidecar.holes)})
    if unknown:
        yield f"draws of {len(unknown)} samples are recorded that are neither there nor in quarantine"


def _compare_with_tar(shards_dir: Path, sidecar: Sidecar) -> Iterator[str]:
    path = tar_path(shards_dir, sidecar.shard.name)
    try:
        check_tar_size(shards_dir, sidecar)
    except ShardError as error:
        yield error.cause
        if not path.is_file():
            return
    try:
        if file_sha256(path) != sidecar.sha256:
            yield f"the sha256 of {path.name} is not the one it was committed with"
        listed = [
            (sample.key, field, *sample.fields[field])
            for sample in sidecar.samples
            for field in sorted(sample.fields)
        ]
        if [tuple(member) for member in walk_tar(path)] != listed:
            yield "the members of the tar are not those its sidecar lists"
    except ShardError as error:
        yield error.cause
    except OSError as error:
        yield f"{path.name} cannot be read: {error.strerror}"


def _check_samples(
    shards_dir: Path, shard: ShardSpec, sidecar: Sidecar, checks: SampleCheck
) -> Iterator[str]:
    try:
        reader = Shard.of(shards_dir, sidecar)
    except ShardError:
        return  # `_compare_with_tar` and `_compare_with_plan` have said so
    draws = Counter(rejection.key for rejection in sidecar.rejections)
    for index in range(len(reader)):
        try:
            sample = reader.read(index)
        except PairbridgeError as error:
            yield error.cause
            continue
        key = reader.key(index)
        yield from checks.problems(shard.stream, key, sample, draw=draws[key])


def _check_licences(manifest: DatasetManifest, require_known: bool) -> Iterator[Finding]:
    for asset in assets_of_unknown_licence(manifest.assets):
        if not asset.licence.strip() or require_known:
            yield Finding(
                MANIFEST_NAME,
                f"the licence of asset {asset.id} is not known: {asset.licence.strip() or 'none is stated'}",
                "state an SPDX licence in the catalogue.yaml of its folder, or leave the asset out, and "
                "generate the dataset anew",
            )


def _check_leaks(manifest: DatasetManifest) -> Iterator[Finding]:
    for first, second, why in leaks(manifest.assets):
        one, other = manifest.assets[first], manifest.assets[second]
        yield Finding(
            MANIFEST_NAME,
            f"assets {one.id} ({one.split}) and {other.id} ({other.split}) belong together: {why}",
            "generate the dataset anew: what belongs together is then put into one split",
        )


def _check_folder(manifest: DatasetManifest, names: list[str]) -> Iterator[Finding]:
    streams = {stream.name: stream for stream in manifest_streams(manifest)}
    for name in names:
        stem, suffix = Path(name).stem, Path(name).suffix
        stream = streams.get(stem.rpartition("-")[0])
        if suffix not in (".tar", ".json") or stream is None or stream.number_of(stem) is None:
            yield Finding(
                f"shards/{name}", "the plan has no such file", "move it out of the dataset's folder"
            )


def _check_quarantine(dataset_dir: Path, committed: list[IndexedShard]) -> Iterator[Finding]:
    path = dataset_dir / "quarantine.jsonl"
    there = path.is_file()
    if not there and not committed:
        return
    if not there or not _is_quarantine(path, committed):
        state = "does not list exactly the holes of the shards" if there else "is missing"
        yield Finding(path.name, f"quarantine.jsonl {state}", f"{_RESUME}, this file included")


def _is_quarantine(path: Path, committed: list[IndexedShard]) -> bool:
    with open(path, "rb") as stream:
        return all(line == there for line, there in zip_longest(quarantine_jsonl(committed), stream))
