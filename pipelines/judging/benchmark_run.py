"""One run of a named benchmark: every case, every method, and the table of the papers' columns."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from pairbridge.datagen.assets.photographs import decode_image
from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.datagen.core.seeds import seed31
from pairbridge.datagen.shards.sample import decode_field
from pairbridge.pipelines.inference.translation import OpenedModel, TranslationRequest, translate_image
from pairbridge.pipelines.judging.benchmark_cases import Case, FoundCase, find_cases, read_case
from pairbridge.pipelines.judging.benchmark_scores import COLUMNS, pooled, ratios, score, trivial
from pairbridge.pipelines.judging.named_benchmarks import BENCHMARKS, NamedBenchmark
from pairbridge.training.evaluation.metrics import bootstrap_interval
from pairbridge.training.evaluation.ratios import RATIOS, ratio_cell, ratio_summary
from pairbridge.training.evaluation.set_figures import SetFigures
from pairbridge.training.evaluation.weighted_figures import WeightedFigures
from pairbridge.training.perceptual.context_deviation import ContextDeviation
from pairbridge.training.perceptual.lpips import Lpips, LpipsConfig

MODEL = "model"
# Of a folder of outputs.
_PICTURES, _ARRAYS = (".png", ".jpg", ".jpeg", ".webp"), (".npy",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How a run is made. `outputs`: folders of other methods' outputs by name. `longest_side`: what the model
    sees is shrunk to it, and its output brought back; None: as large as the case. `lpips`, `inception` and
    `dinov2`: published weights, for the columns that need them.
    """

    outputs: Mapping[str, Path]
    lists: Path | None = None
    longest_side: int | None = None
    steps: int = 1
    seed: int = 0
    lpips: LpipsConfig | None = None
    inception: Path | None = None
    dinov2: Path | None = None


@dataclass(frozen=True, slots=True)
class CaseRow:
    """What one method made of one case."""

    method: str
    case: str
    scene: str
    group: str
    counts_for: float
    figures: dict[str, float]
    ratios: dict[str, float]


def run_benchmark(
    name: str,
    root: Path,
    model: OpenedModel | None,
    judging: Judging,
    out: Path,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Judge `model` and folders of outputs beside trivial predictors. The result is also in
    `out`/benchmark.json, and every figure in `out`/benchmark.csv.

    Of it: `benchmark`, `protocol`, `cases`, `expected`, `left_out`, and `rows`: group ("" for all) -> method
    -> column -> {mean, low, high}, 95 % over scenes; of contrast and texture {median, low, high, pairs}.
    Raises ConfigError for a folder that is not laid out as the benchmark, for a model or outputs that do not
    fit it, AssetError for a damaged file.
    """
    benchmark = BENCHMARKS[name]
    found = find_cases(benchmark, root, judging.lists)
    methods = _methods(benchmark, model, judging, found)
    if not methods:
        raise ConfigError(
            f"nothing is to be judged on {name}",
            consequence="the table would hold trivial predictors alone",
            remedy="give --model FOLDER, or --outputs NAME=FOLDER",
        )
    methods |= trivial(benchmark)
    pictures = benchmark.kind == "removal"
    sets = (
        SetFigures.load(judging.inception, local=True, device=torch.device("cpu"))
        if judging.inception and pictures
        else None
    )
    weighted = WeightedFigures(
        lpips=Lpips.load(judging.lpips) if judging.lpips and pictures else None,
        context=ContextDeviation.load(judging.dinov2, torch.device("cpu"))
        if judging.dinov2 and pictures
        else None,
    )
    rows: list[CaseRow] = []
    left_out = 0
    for number, one in enumerate(found):
        case = read_case(benchmark, one)
        if case is None:
            left_out += 1
            continue
        for method, make in methods.items():
            output = _fitted(benchmark, make(case), case)
            figures = score(benchmark, case, output) | weighted([output], [case])[0]
            if sets:
                sets.add(method, [output], [case])
            about = (method, case.id, case.scene, case.group, pooled(benchmark, case))
            rows.append(CaseRow(*about, figures, ratios(benchmark, case, output)))
        on_progress(number + 1, len(found))
    if not rows:
        raise ConfigError(
            f"none of the {len(found)} cases below {root} marks or measures anything",
            consequence="there is nothing to judge",
            remedy="look at its masks or depth maps; docs/published_benchmarks.md says how they are read",
        )
    result = {
        "benchmark": name,
        "protocol": benchmark.protocol,
        "cases": len(found) - left_out,
        "expected": benchmark.cases,
        "left_out": left_out,
        "longest_side": judging.longest_side,
        "steps": judging.steps,
        "rows": _table(benchmark, rows, sets.figures() if sets else {}),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "benchmark.json", [canonical_json(result)])
    write_atomically(out / "benchmark.csv", [_csv(benchmark, rows)])
    return result


def _methods(
    benchmark: NamedBenchmark, model: OpenedModel | None, judging: Judging, found: Sequence[FoundCase]
) -> dict[str, Callable[[Case], np.ndarray]]:
    taken = {MODEL, *trivial(benchmark)} & set(judging.outputs)
    if taken:
        raise ConfigError(
            f"the name {sorted(taken)[0]} of a folder of outputs is taken",
            consequence="two rows of the table would have it",
            remedy="choose another: --outputs NAME=FOLDER",
        )
    methods: dict[str, Callable[[Case], np.ndarray]] = {}
    if model is not None:
        methods[MODEL] = lambda case: _of_model(benchmark, model, judging, case)
    for name, folder in judging.outputs.items():
        files = _output_files(benchmark, name, folder, found)
        methods[name] = lambda case, files=files: _read_output(files[case.id])
    return methods


def _of_model(benchmark: NamedBenchmark, opened: OpenedModel, judging: Judging, case: Case) -> np.ndarray:
    height, width = case.source.shape[:2]
    share = min(1.0, (judging.longest_side or max(height, width)) / max(height, width))
    size = max(1, round(width * share)), max(1, round(height * share))
    source, mask = case.source, case.mask
    if size != (width, height):
        source = cv2.resize(source, size, interpolation=cv2.INTER_AREA)
        # Whatever a mask touches is to change.
        mask = None if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    seed = seed31(judging.seed, "benchmark", case.id)
    if benchmark.kind in ("depth", "normals"):
        output = opened.model.predict_batch(source[None], None, steps=judging.steps, seed=[seed])[0]
        return output[..., 0] if benchmark.kind == "depth" else output
    request = TranslationRequest(source, mask, steps=judging.steps, seed=seed)
    return translate_image(opened, request)


def _fitted(benchmark: NamedBenchmark, output: np.ndarray, case: Case) -> np.ndarray:
    """An output in the size and form of the case's target. Raises ConfigError where it has another form."""
    if output.ndim != case.target.ndim or (benchmark.kind != "depth" and output.shape[2] != 3):
        raise ConfigError(
            f"an output of {case.id} has shape {output.shape}, the truth {case.target.shape}",
            consequence="they cannot be compared",
            remedy="depth is (H, W) and normals (H, W, 3), in .npy files; all else are pictures",
        )
    if output.shape[:2] == case.target.shape[:2]:
        return output
    return cv2.resize(output, case.target.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _output_files(
    benchmark: NamedBenchmark, name: str, folder: Path, found: Sequence[FoundCase]
) -> dict[str, Path]:
    """The output of every case: at its id, or at its file's own name where only one case has that name."""
    names = Counter(Path(one.id).name for one in found)
    endings = _ARRAYS if benchmark.kind in ("depth", "normals") else _PICTURES
    files, lacking = {}, []
    for one in found:
        stems = [one.id] + ([Path(one.id).name] if names[Path(one.id).name] == 1 else [])
        there = (folder / f"{stem}{ending}" for stem in stems for ending in endings)
        path = next((path for path in there if path.is_file()), None)
        if path is None:
            lacking.append(one.id)
        else:
            files[one.id] = path
    if lacking:
        raise ConfigError(
            f"{folder} lacks {len(lacking)} of {len(found)} outputs of {name}, the first {lacking[0]}",
            consequence="figures of different cases cannot stand in one table",
            remedy=f"put it at {folder / lacking[0]}{endings[0]}, or give a shorter list by --list",
        )
    return files


def _read_output(path: Path) -> np.ndarray:
    data = path.read_bytes()
    return decode_field("output.npy", data) if path.suffix == ".npy" else decode_image(data, str(path))


def _table(
    benchmark: NamedBenchmark, rows: Sequence[CaseRow], sets: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    groups = sorted({row.group for row in rows} - {""})
    table: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for group in ["", *groups]:
        of_group = [row for row in rows if group in ("", row.group)]
        table[group] = {
            method: _means(benchmark, [row for row in of_group if row.method == method])
            for method in dict.fromkeys(row.method for row in of_group)
        }
    for method, figures in sets.items():
        table[""][method] |= {name: {"mean": value} for name, value in figures.items()}
    return table


def _means(benchmark: NamedBenchmark, rows: Sequence[CaseRow]) -> dict[str, dict[str, float]]:
    counts_for = np.array([row.counts_for for row in rows])
    share = counts_for / counts_for.mean()
    scenes = [row.scene for row in rows]
    of_ratios = ratio_summary([row.ratios for row in rows], scenes, seed=0) if rows[0].ratios else {}
    means = {
        column: asdict(
            bootstrap_interval(
                (share * np.array([row.figures[column] for row in rows])).tolist(), scenes, seed=0
            )
        )
        for column in COLUMNS[benchmark.kind]
        if column in rows[0].figures
    }
    return means | of_ratios


def shown(result: Mapping[str, Any]) -> Iterator[str]:
    """The result's table, line by line: a row for each method, the papers' columns, contrast and texture."""
    columns = COLUMNS[BENCHMARKS[result["benchmark"]].kind]
    for group, methods in result["rows"].items():
        there = [name for name in columns if any(name in figures for figures in methods.values())]
        titles = (f"{columns[name].label}{_direction(columns[name].more)}" for name in there)
        beside = [name for name in RATIOS if any(name in figures for figures in methods.values())]
        titles = [*titles, *(f"{RATIOS[name]} (1 is right)" for name in beside)]
        yield "  ".join([f"{group or 'all':20}", *(f"{title:>24}" for title in titles)])
        for method, figures in methods.items():
            cells = [_cell(figures.get(name), columns[name].digits) for name in there]
            cells += [ratio_cell(figures.get(name)) for name in beside]
            yield "  ".join([f"{method:20}", *(f"{cell:>24}" for cell in cells)])


def _direction(more: bool) -> str:
    return " (more)" if more else " (less)"


def _cell(figure: Mapping[str, float] | None, digits: int) -> str:
    if figure is None:
        return ""
    if "low" not in figure:
        return f"{figure['mean']:.{digits}f}"
    return f"{figure['mean']:.{digits}f} [{figure['low']:.{digits}f}, {figure['high']:.{digits}f}]"


def _csv(benchmark: NamedBenchmark, rows: Sequence[CaseRow]) -> bytes:
    columns = [name for name in COLUMNS[benchmark.kind] if name in rows[0].figures] + list(rows[0].ratios)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["method", "case", "scene", "group", *columns])
    for row in rows:
        of_row = row.figures | row.ratios
        figures = (repr(float(of_row[name])) for name in columns)
        table.writerow([row.method, row.case, row.scene, row.group, *figures])
    return text.getvalue().encode()
