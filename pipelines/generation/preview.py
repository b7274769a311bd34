"""A contact sheet of the plan's first pairs, before a run is started. Commits nothing and needs no Ray."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pairbridge.datagen.core.folder_lock import folder_lock
from pairbridge.datagen.dataset.dataset_config import DatasetConfig
from pairbridge.datagen.dataset.manifest import build_manifest
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.shards.layout import Stream
from pairbridge.datagen.shards.records import Hole
from pairbridge.pipelines.generation.open_plan import open_plan
from pairbridge.pipelines.pages.pair_pictures import pair_pictures
from pairbridge.pipelines.pages.sheets import Item, Section, contact_sheet, write_png
from pairbridge.pipelines.shelves.staging import new_token
from pairbridge.pipelines.workers.worker import GroupWorker, WorkOrder

_REFUSED = np.full((8, 8), 200, np.uint8)


def preview(config: DatasetConfig, out: Path, num_pairs: int, *, workers: int) -> Path:
    """Write `<out>-preview.png` with the first `num_pairs` planned pairs of every recipe; returns its path.

    Made in this process, on `workers` cores, exactly as the run would make them. Only the lightings are left
    in `out`, where the run finds them. A refused pair is a grey row with its reason. Raises ConfigError if
    `out` holds a dataset of another config, FolderLocked, and what `GroupWorker.make_pairs` raises: nothing
    is retried here.
    """
    out = Path(out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    with folder_lock(out, new_token()), TemporaryDirectory(prefix="pairbridge-preview-") as folder:
        plan = open_plan(config, out).plan
        order = WorkOrder(plan, Path(folder), Path(folder))
        first_streams: dict[str, Stream] = {}
        for stream in plan.streams:
            first_streams.setdefault(stream.recipe_id, stream)
        with GroupWorker(order, name="preview", threads=workers) as worker:
            sections = [_section(worker, plan, stream, num_pairs) for stream in first_streams.values()]
    path = out.with_name(f"{out.name}-preview.png")
    write_png(path, contact_sheet(sections))
    return path


def _section(worker: GroupWorker, plan: DatasetPlan, stream: Stream, num_pairs: int) -> Section:
    found = list(islice(_outcomes(worker, plan, stream), num_pairs))
    shown = [pictures for _, pictures in found if pictures]
    headings = tuple(shown[0]) if shown else ("refused",)
    items = (
        Item(caption, tuple(pictures.values()) if pictures else (_REFUSED,) * len(headings))
        for caption, pictures in found
    )
    return Section(f"{stream.recipe_id} ({stream.kind}), {stream.split}", headings, tuple(items))


def _outcomes(
    worker: GroupWorker, plan: DatasetPlan, stream: Stream
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Caption and pictures of each planned pair; no pictures of a refused one."""
    entry = build_manifest(plan).recipes[stream.recipe_id]
    for group in range(stream.num_groups):
        outcomes, _ = worker.make_pairs(plan.group(stream, group))
        for outcome in outcomes:
            if isinstance(outcome, Hole):
                yield f"{outcome.key}: {outcome.reason}", {}
            else:
                key, pair = outcome
                yield key, pair_pictures(pair, entry.fields, entry.roles)
