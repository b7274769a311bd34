"""A contact sheet of the plan's first pairs, before a run is started. Commits nothing and needs no Ray."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from datagen.config import DatasetConfig
from datagen.fill import fill_noise
from datagen.plan import DatasetPlan, Stream
from datagen.records import Hole
from datagen.sample import Pair
from pipelines.generate import plan_with_lightings
from pipelines.lock import dataset_lock
from pipelines.sheets import Item, Section, contact_sheet, write_png
from pipelines.staging import new_token
from pipelines.worker import GroupWorker, WorkOrder

HEADINGS = ("source", "target", "mask")
_REFUSED = np.full((8, 8), 200, np.uint8)


def preview(config: DatasetConfig, out: Path, num_pairs: int, *, workers: int) -> Path:
    """Write `<out>-preview.png` with the first `num_pairs` planned pairs of every recipe; returns its path.

    Made in this process, on `workers` cores, exactly as the run would make them. Only the lightings are left
    in `out`, where the run finds them. A refused pair is a grey row with its reason. Raises ConfigError if
    `out` holds a dataset of another config, DatasetLocked, and what `GroupWorker.make_pairs` raises: nothing
    is retried here.
    """
    out = Path(out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    with dataset_lock(out, new_token()), TemporaryDirectory(prefix="pairbridge-preview-") as folder:
        plan = plan_with_lightings(config, out)
        order = WorkOrder(plan, Path(folder), Path(folder), name="preview", threads=workers)
        first_streams: dict[str, Stream] = {}
        for stream in plan.streams:
            first_streams.setdefault(stream.recipe_id, stream)
        with GroupWorker(order) as worker:
            sections = [_section(worker, plan, stream, num_pairs) for stream in first_streams.values()]
    path = out.with_name(f"{out.name}-preview.png")
    write_png(path, contact_sheet(sections))
    return path


def _section(worker: GroupWorker, plan: DatasetPlan, stream: Stream, num_pairs: int) -> Section:
    items = tuple(islice(_items(worker, plan, stream), num_pairs))
    return Section(f"{stream.recipe_id} ({stream.kind}), {stream.split}", HEADINGS, items)


def _items(worker: GroupWorker, plan: DatasetPlan, stream: Stream) -> Iterator[Item]:
    for group in range(stream.num_groups):
        outcomes, _ = worker.make_pairs(plan.group(stream, group))
        for outcome in outcomes:
            if isinstance(outcome, Hole):
                yield Item(f"{outcome.key}: {outcome.reason}", (_REFUSED,) * len(HEADINGS))
            else:
                key, pair = outcome
                yield Item(key, (_source(pair), pair["target.png"], pair["mask.png"]))


def _source(pair: Pair) -> np.ndarray:
    """The stored source, or what the reader makes of the target of a removal pair."""
    if "source.png" in pair:
        return pair["source.png"]
    seed = json.loads(pair["meta.json"]["params"])["fill_seed"]
    return fill_noise(pair["target.png"], pair["mask.png"], seed)
