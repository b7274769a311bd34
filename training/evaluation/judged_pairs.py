"""What an evaluation keeps of single pairs: a table of their figures, and strips of their pictures."""

import csv
import heapq
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.shards.sample import encode_field
from pairbridge.training.data.pairs import Pair
from pairbridge.training.data.targets import to_picture
from pairbridge.training.evaluation.metrics import METRICS
from pairbridge.training.evaluation.ratios import RATIOS
from pairbridge.training.evaluation.tasks import Task


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """What one method made of one pair."""

    key: str
    object: str
    lighting: str
    metrics: dict[str, float]
    ratios: dict[str, float]


class WorstPairs:
    """The pairs that the model does worst, in bounded memory."""

    def __init__(self, size: int, task: Task) -> None:
        self._size = size
        self._metric = task.judged_by
        self._sign = -1 if METRICS[self._metric].more else 1
        # Place decides between equals, so that pairs are never compared.
        self._heap: list[tuple[float, int, Pair, np.ndarray]] = []

    def offer(self, figures: dict[str, float], place: int, pair: Pair, output: np.ndarray) -> None:
        heapq.heappush(self._heap, (self._sign * figures[self._metric], -place, pair, output))
        if len(self._heap) > self._size:
            heapq.heappop(self._heap)

    def ordered(self) -> list[tuple[Pair, np.ndarray]]:
        return [
            (pair, output) for _, _, pair, output in sorted(self._heap, key=lambda e: e[:2], reverse=True)
        ]


def write_rows(path: Path, rows: dict[str, list[JudgedPair]]) -> None:
    """One line per method and pair; figures in full precision."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    first = rows["model"][0]
    columns = [name for name in METRICS if name in first.metrics] + list(first.ratios)
    table.writerow(["method", "key", "object", "lighting", *columns])
    for name, of_method in rows.items():
        for row in of_method:
            of_row = row.metrics | row.ratios
            figures = (repr(float(of_row[column])) for column in columns)
            table.writerow([name, row.key, row.object, row.lighting, *figures])
    write_atomically(path, [text.getvalue().encode()])


def read_rows(path: Path) -> dict[str, list[JudgedPair]]:
    """What `write_rows` wrote, by method; a ratio that a pair does not have is NaN."""
    rows: dict[str, list[JudgedPair]] = {}
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            method, key, shown, light = (row.pop(name) for name in ("method", "key", "object", "lighting"))
            figures = {name: float(text) for name, text in row.items()}
            metrics = {name: figures[name] for name in figures if name in METRICS}
            ratios = {name: figures[name] for name in figures if name in RATIOS}
            rows.setdefault(method, []).append(JudgedPair(key, shown, light, metrics, ratios))
    return rows


def write_strip(out_dir: Path, kind: str, name: str, pair: Pair, output: np.ndarray) -> str:
    """Write source | output | target; the file's path relative to `out_dir`."""
    file = Path(kind) / f"{name}-{pair.key}.png"
    (out_dir / kind).mkdir(exist_ok=True)
    strip = np.concatenate([to_picture(one) for one in (pair.source, output, pair.target)], axis=1)
    write_atomically(out_dir / file, [encode_field("strip.png", strip)])
    return file.as_posix()
