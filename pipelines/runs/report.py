"""The report of a run: metrics.json, one self-contained HTML page that shows it, and a contact sheet."""

import json
import math
from collections import Counter
from functools import partial
from typing import Any

from jinja2 import Environment

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.dataset.card import as_yaml
from pairbridge.pipelines.pages.html import page_environment, page_script
from pairbridge.pipelines.pages.sheets import Item, Section, contact_sheet, write_png
from pairbridge.pipelines.runs import pictures
from pairbridge.pipelines.runs.run_config import Run, other_sources
from pairbridge.pipelines.runs.run_metrics import collect
from pairbridge.training.engine.run_log import read_lines
from pairbridge.training.evaluation.baselines import method_label
from pairbridge.training.evaluation.metrics import METRICS
from pairbridge.training.evaluation.ratios import RATIOS

PAIRS_PER_RECIPE = 6


def write_report(run: Run) -> None:
    """Write metrics.json, sheet.png and report.html into the run's folder; each appears whole."""
    metrics = collect(run)
    pairs = pictures.shown_pairs(run.dataset_dir, list(run.dataset.recipes), PAIRS_PER_RECIPE)
    others = pictures.shown_others(other_sources(run), PAIRS_PER_RECIPE)
    translations, worst = (
        {
            name: pictures.shown_translations(run.evaluation_dir, name, source[kept], source["judged_by"])
            for name, source in metrics["evaluation"]["sources"].items()
        }
        for kept in ("samples", "worst")
    )
    text = json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(run.folder / "metrics.json", [text.encode(), b"\n"])
    write_png(run.folder / "sheet.png", contact_sheet(_sections({**pairs, **others}, translations)))
    lines = read_lines(run.training_dir / "stats.jsonl")
    write_atomically(
        run.folder / "report.html",
        [render(metrics, pairs, others, translations, worst, lines).encode()],
    )


def render(
    metrics: dict[str, Any],
    pairs: dict[str, list[pictures.ShownPair]],
    others: dict[str, list[pictures.ShownPair]],
    translations: dict[str, list[pictures.ShownTranslation]],
    worst: dict[str, list[pictures.ShownTranslation]],
    lines: list[dict[str, Any]],
) -> str:
    """The page. It shows no figure that is not in `metrics`, the evaluation's tables or `lines`, the
    training's log; all text in it is escaped.
    """
    environment = report_environment()
    return environment.get_template("report.html.j2").render(
        metrics=metrics,
        pairs=pairs,
        others=others,
        translations=translations,
        worst=worst,
        titles=_titles(metrics, worst),
        made=made_by(metrics),
        curve=pictures.loss_curve({metrics["run"]: lines}),
        utilisation=pictures.utilisation_chart(
            metrics["timings"]["workers_s"],
            {recipe: times["phase_s"] for recipe, times in metrics["timings"]["recipes"].items()},
        ),
        method_label=method_label,
        metrics_shown=METRICS,
        ratios_shown=RATIOS,
        headlines=[headline(name, source) for name, source in metrics["evaluation"]["sources"].items()],
        **page_script(environment, "compare.js", "report.js"),
    )


def report_environment() -> Environment:
    """Of pages about runs: with filters for pictures and figures."""
    environment = page_environment()
    environment.filters |= {
        "uri": pictures.data_uri,
        "output_uri": partial(pictures.data_uri, largest_side=pictures.LARGEST_OUTPUT_SIDE),
        "duration": duration,
        "size": size,
        "percent": percent,
        "counted": _counted,
        "subjects": subjects,
        "drawn": drawn,
        "yaml": as_yaml,
        "machine": machine,
    }
    return environment


def _titles(metrics: dict[str, Any], worst: dict[str, list[pictures.ShownTranslation]]) -> dict[str, str]:
    """Anchor -> title of every section that the page has, in its order."""
    titles = {
        "outputs": "Outputs on held-out pairs",
        "worst": "Worst outputs",
        "metrics": "Metrics and baselines",
        "training": "Training and validation",
        "made": "Command, configuration, machine",
        "pairs": "Pairs of every recipe",
        "others": "Other data",
        "masks": "Removal masks",
        "mix": "Mix: planned and consumed",
        "time": "Time",
        "gates": "Quality gates",
        "quarantine": "Quarantine (failed samples)",
        "licences": "Licences",
        "versions": "Versions",
    }
    absent = {
        "worst": not any(worst.values()),
        "others": not metrics["other_sources"],
        "masks": not metrics["masks"],
    }
    return {name: title for name, title in titles.items() if not absent.get(name)}


def made_by(metrics: dict[str, Any]) -> dict[str, Any]:
    """What made a run: `commands`, each once and the last first; `stages`; `last`, the last of them."""
    stages = metrics["made"]
    commands = list(dict.fromkeys(stage["command"] for stage in reversed(stages.values())))
    return {"commands": commands, "stages": stages, "last": list(stages.values())[-1]}


def machine(hardware: dict[str, Any]) -> str:
    """2 cores of AMD EPYC, 24 GiB, no GPU."""
    gpus = Counter(hardware["gpus"])
    named = ", ".join(f"{count} x {name}" for name, count in gpus.items()) or "no GPU"
    return f"{hardware['cpu_cores']} cores of {hardware['cpu']}, {hardware['memory_gib']:.0f} GiB, {named}"


def headline(name: str, source: dict[str, Any]) -> dict[str, Any]:
    """What the figures of one evaluated source allow to be said against its best baseline.

    `metric` says what `gain` is measured in; `figure` is the gain in words; a source without any baseline has
    neither.
    """
    where = f"{_counted(source['pairs'], 'pair')} of {subjects(source)}, held out from training"
    said = {"source": name, "where": where, "gain": None, "figure": "", "tone": "unclear"}
    best = source["best_baseline"]
    if best is None:
        return {**said, "verdict": "no verdict: nothing to compare with"}
    metric, gain = METRICS[source["judged_by"]], source["gains"][best][source["judged_by"]]
    low, high = (gain["low"], gain["high"]) if metric.more else (-gain["high"], -gain["low"])
    against = method_label(best).lower()
    if source["objects"] < 2:
        verdict, tone = "no verdict: images of one subject alone carry no interval", "unclear"
    elif low > 0:
        verdict, tone = f"better than the best baseline ({against})", "gain"
    elif high < 0:
        verdict, tone = f"worse than the best baseline ({against})", "loss"
    else:
        verdict, tone = f"no clear difference from the best baseline ({against})", "unclear"
    figure = f"{gain['mean']:+.{metric.digits}f}{' ' if len(metric.unit) > 1 else ''}{metric.unit}"
    interval = ""
    if source["objects"] > 1:
        interval = f"[{gain['low']:+.{metric.digits}f}, {gain['high']:+.{metric.digits}f}]"
    return {
        **said,
        "gain": gain,
        "figure": figure,
        "interval": interval,
        "metric": metric.label,
        "tone": tone,
        "verdict": verdict,
    }


def subjects(source: dict[str, Any]) -> str:
    """29 subjects under 10 lightings: what an evaluated source's intervals are over."""
    shown = _counted(source["objects"], "subject")
    return f"{shown} under {_counted(source['lightings'], 'lighting')}" if source["lightings"] else shown


def drawn(source: dict[str, Any]) -> str:
    """What its bootstrap draws."""
    return "subjects and lightings" if source["lightings"] > 1 else "subjects"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """1 min 05 s, or 4.2 s."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(num_bytes: int) -> str:
    """12.3 MB."""
    power = min(4, int(math.log(max(1, num_bytes), 1000)))
    return f"{num_bytes / 1000**power:.{1 if power else 0}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def percent(share: float) -> str:
    """90.00 %."""
    return f"{100 * share:.2f} %"


def _sections(
    pairs: dict[str, list[pictures.ShownPair]], translations: dict[str, list[pictures.ShownTranslation]]
) -> list[Section]:
    made = [
        Section(
            f"{recipe}: pairs",
            ("source", "target", "mask"),
            tuple(
                Item(f"{pair.split}: {pair.caption}", (pair.source, pair.target, pair.mask)) for pair in shown
            ),
        )
        for recipe, shown in pairs.items()
    ]
    judged = [
        Section(
            f"{name}: translated, never seen in training",
            ("source", "output", "target"),
            tuple(Item(one.key, (one.source, one.output, one.target)) for one in shown),
        )
        for name, shown in translations.items()
        if shown
    ]
    return [*judged, *made]
