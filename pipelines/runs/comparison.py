"""Two runs on one page: their metrics with paired differences, losses, outputs on the same pairs, and what
their configurations differ in.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import leaves
from pairbridge.datagen.core.record_files import read_output
from pairbridge.pipelines.pages.html import page_script
from pairbridge.pipelines.runs.pictures import (
    ShownTranslation,
    figures_of,
    loss_curve,
    shown_translations,
)
from pairbridge.pipelines.runs.report import report_environment
from pairbridge.pipelines.runs.stages import StageRecords
from pairbridge.training.engine.run_log import read_lines
from pairbridge.training.evaluation.evaluate import checked_evaluation
from pairbridge.training.evaluation.metrics import METRICS, bootstrap_interval
from pairbridge.training.evaluation.ratios import RATIOS, ratio_cell

# Of a key that one of two configurations lacks.
_ABSENT = "–"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run's folder and what its stages left there."""

    name: str
    folder: Path
    metrics: dict[str, Any]
    judged: dict[str, Any]
    """What the evaluation depended on, from its stage's record."""

    @property
    def evaluation_dir(self) -> Path:
        return self.folder / "evaluation"


def compare_runs(first: Path, second: Path, out: Path) -> None:
    """Write the page of two finished runs' folders as the file `out`, whole or not at all.

    Raises ConfigError where one of them is not finished, they are one and the same, or they evaluate no
    source of the same name.
    """
    if first.resolve() == second.resolve():
        raise ConfigError(
            f"{first} and {second} are one run",
            consequence="nothing of it differs",
            remedy="name the folders of two runs",
        )
    names = (first.name, second.name) if first.name != second.name else (str(first), str(second))
    runs = [_read(name, folder) for name, folder in zip(names, (first, second), strict=True)]
    sources = [name for name in runs[0].metrics["evaluation"]["sources"] if name in _sources(runs[1])]
    if not sources:
        raise ConfigError(
            f"{names[0]} evaluates {', '.join(_sources(runs[0]))}; {names[1]} {', '.join(_sources(runs[1]))}",
            consequence="there is no figure that both have",
            remedy="give the sources of both evaluations the same names, and run the evaluations again",
        )
    page = render_comparison(runs, {name: _compared(runs, name) for name in sources})
    write_atomically(out, [page.encode()])


def render_comparison(runs: list[FinishedRun], sources: dict[str, dict[str, Any]]) -> str:
    """The page around what `_compared` gives of each source; all text in it is escaped."""
    environment = report_environment()
    return environment.get_template("comparison.html.j2").render(
        runs=runs,
        sources=sources,
        curve=loss_curve({run.name: read_lines(run.folder / "train" / "stats.jsonl") for run in runs}),
        outputs={name: _same_outputs(runs, name) for name in sources},
        differences=configuration_differences(*(run.metrics["configuration"] for run in runs)),
        metrics_shown=METRICS,
        ratios_shown=RATIOS,
        ratio_cell=ratio_cell,
        titles={
            "metrics": "Metrics",
            "outputs": "Outputs on the same pairs",
            "losses": "Losses",
            "configuration": "What the configurations differ in",
            "made": "Commands, dates, machines",
        },
        **page_script(environment, "compare.js", "report.js"),
    )


def configuration_differences(first: dict[str, Any], second: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(key, the first's value, the second's) of every leaf that is not the same in both, by key."""
    one, other = dict(leaves(first)), dict(leaves(second))
    return [
        (key, str(one.get(key, _ABSENT)), str(other.get(key, _ABSENT)))
        for key in sorted(one.keys() | other.keys())
        if one.get(key, _ABSENT) != other.get(key, _ABSENT)
    ]


def _read(name: str, folder: Path) -> FinishedRun:
    record = StageRecords(folder / "stages").read("evaluate")
    if record is None or not (folder / "metrics.json").is_file():
        raise ConfigError(
            f"{folder} is not the folder of a finished run",
            consequence="it has no figures to compare",
            remedy="name a folder that `pairbridge run` made, such as runs/demo, once it has come to its end",
        )
    metrics = read_output(folder / "metrics.json", "run")
    checked_evaluation(metrics["evaluation"], folder / "metrics.json")
    return FinishedRun(name, folder, metrics, record["inputs"])


def _sources(run: FinishedRun) -> dict[str, Any]:
    return run.metrics["evaluation"]["sources"]


def _compared(runs: list[FinishedRun], source: str) -> dict[str, Any]:
    """Of one source: `pairs`, `objects`, `lightings`, `judged_by`, whether both judged the `same` pairs, and
    per metric that both have `means` of both, and `gain`, the paired difference second - first, None where
    pairs differ; `ratios`: contrast and texture of both.
    """
    own = [_sources(run)[source] for run in runs]
    same = len({(run.judged["data"][source], *_frame(run)) for run in runs}) == 1
    rows = {}
    for metric in METRICS:
        if not all(metric in one["methods"]["model"] for one in own):
            continue
        means = [one["methods"]["model"][metric]["mean"] for one in own]
        rows[metric] = {"means": means, "gain": _gain(runs, source, metric) if same else None}
    about = {name: own[0][name] for name in ("pairs", "objects", "lightings", "judged_by")}
    ratios = {
        name: [one["ratios"]["model"].get(name) for one in own]
        for name in RATIOS
        if all(one["ratios"] for one in own)
    }
    return {**about, "same": same, "metrics": rows, "ratios": ratios}


def _frame(run: FinishedRun) -> tuple[Any, ...]:
    """What else decides which pictures were judged."""
    return run.judged["evaluation"]["size"], run.judged["evaluation"]["split"]


def _gain(runs: list[FinishedRun], source: str, metric: str) -> dict[str, float]:
    first, second = (figures_of(run.evaluation_dir, source, metric) for run in runs)
    keys = [key for key in first if key in second]
    interval = bootstrap_interval(
        [second[key].value - first[key].value for key in keys],
        [first[key].object for key in keys],
        [first[key].lighting for key in keys],
        seed=runs[0].judged["evaluation"]["seed"],
        resamples=runs[0].judged["evaluation"]["bootstrap_resamples"],
    )
    return asdict(interval)


def _same_outputs(runs: list[FinishedRun], source: str) -> list[tuple[ShownTranslation, ShownTranslation]]:
    """The kept samples of the pairs that both runs kept, the first's before the second's."""
    shown = []
    for run in runs:
        about = _sources(run)[source]
        kept = shown_translations(run.evaluation_dir, source, about["samples"], about["judged_by"])
        shown.append({one.key: one for one in kept})
    return [(one, shown[1][key]) for key, one in shown[0].items() if key in shown[1]]
