"""A calibration on paper: one table (Markdown and JSON) and a sheet with the best and the worst cases."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.pipelines.checks.calibration import Calibration, CalibrationConfig, Judged, TrueScene
from pairbridge.pipelines.pages.sheets import Item, Section, contact_sheet, write_png
from pairbridge.training.evaluation.metrics import bootstrap_interval

# Figure -> heading, digits, and whether more is better.
MASK_FIGURES = {
    "iou": ("IoU", 3, True),
    "error": ("mean absolute error of alpha", 4, False),
    "boundary_error": ("boundary error of alpha", 3, False),
}
RELIGHTING_FIGURES = {
    "foreground_psnr": ("foreground PSNR, dB", 2, True),
    "gain": ("gain over the untouched photograph, dB", 2, True),
    "foreground_mse": ("fMSE", 0, False),
}
PASTING_FIGURES = {
    "rim_error": ("rim error (RMS of 255)", 2, False),
    "rim_excess": ("rim error above the default's", 2, False),  # paired: its interval decides
}

_FIGURES = {**MASK_FIGURES, **RELIGHTING_FIGURES, **PASTING_FIGURES}

SHOWN = 3  # cases at each end of the sheet: one line
_RIM_WINDOW = 0.25  # side of the shown part of a rim, as a share of the image


def table(calibration: Calibration, seed: int) -> list[dict[str, Any]]:
    """A row per part, figure and method: mean over scenes, 95 % bootstrap interval over subjects, `n` scenes,
    and how many the method `refused`. Mean and interval are null where it refused all.
    """
    subjects = {scene.name: scene.subject for scene in calibration.scenes}
    parts = (
        ("mask", MASK_FIGURES, calibration.masks),
        ("relit foreground", RELIGHTING_FIGURES, calibration.relighting),
        ("paste", PASTING_FIGURES, calibration.pasting),
    )
    return [
        {"part": part, "figure": figure, "method": judged.method, **_summary(judged, figure, subjects, seed)}
        for part, figures, methods in parts
        for figure in figures
        for judged in methods
    ]


def _summary(judged: Judged, figure: str, subjects: dict[str, str], seed: int) -> dict[str, Any]:
    values = {name: figures[figure] for name, figures in judged.figures.items()}
    counts = {"n": len(values), "refused": len(judged.refused)}
    if not values:
        return {"mean": None, "low": None, "high": None, **counts}
    interval = bootstrap_interval(list(values.values()), [subjects[name] for name in values], seed=seed)
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, **counts}


def markdown(calibration: Calibration, rows: Iterable[dict[str, Any]]) -> str:
    """The table, with what it is over and what was refused."""
    subjects = {scene.subject for scene in calibration.scenes}
    lines = [
        f"{len(calibration.scenes)} rendered photographs of {len(subjects)} objects; "
        "95 % bootstrap intervals over objects.",
        "",
        "| judged | figure | method | mean | interval | n |",
        "|---|---|---|---:|---:|---:|",
    ]
    for row in rows:
        heading, digits, more = _FIGURES[row["figure"]]
        mean, interval = "–", "–"
        if row["n"]:
            mean = f"{row['mean']:.{digits}f}"
            interval = f"{row['low']:.{digits}f} to {row['high']:.{digits}f}"
        count = f"{row['n']} ({row['refused']} refused)" if row["refused"] else row["n"]
        arrow = "↑" if more else "↓"
        lines.append(
            f"| {row['part']} | {heading} {arrow} | {row['method']} | {mean} | {interval} | {count} |"
        )
    refusals = list(_refusals(calibration))
    if refusals:
        lines += ["", "Refused:", "", *(f"- {refusal}" for refusal in refusals)]
    return "\n".join(lines) + "\n"


def _refusals(calibration: Calibration) -> Iterable[str]:
    for name, reason in calibration.refused.items():
        yield f"{name} and its group, not rendered to the end: {reason}"
    for judged in (*calibration.masks, *calibration.relighting):
        for name, reason in judged.refused.items():
            yield f"{name}, {judged.method}: {reason}"


def sheet(calibration: Calibration) -> np.ndarray:
    """uint8 RGB: worst and best masks and relit photographs of the configured models, and rims enlarged."""
    scenes = {scene.name: scene for scene in calibration.scenes}
    masks, relighting, paste = calibration.masks[0], calibration.relighting[0], calibration.pasting[0]

    def rims(name: str) -> tuple[np.ndarray, ...]:
        return _rims(scenes[name], [judged.images[name] for judged in calibration.pasting])

    sections = [
        *_sections(
            masks,
            f"masks of {masks.method}",
            "iou",
            "IoU {:.3f}",
            ("photograph", "true alpha", "mask"),
            lambda name: (scenes[name].photo, scenes[name].mask, masks.images[name]),
        ),
        *_sections(
            relighting,
            f"relit foregrounds of {relighting.method}, with true masks",
            "gain",
            "{:+.1f} dB over untouched",
            ("photograph", "relit, pasted", "truth"),
            lambda name: (scenes[name].photo, relighting.images[name], scenes[name].truth),
        ),
        *_sections(
            paste,
            f"rims of: {paste.method}",
            "rim_error",
            "{:.1f} of 255",
            ("default", "alpha-over", "linear light", "truth"),
            rims,
            shown=2,
        ),
    ]
    return contact_sheet([section for section in sections if section.items])


def _sections(
    judged: Judged,
    what: str,
    figure: str,
    form: str,
    headings: tuple[str, ...],
    images: Callable[[str], tuple[np.ndarray, ...]],
    shown: int = SHOWN,
) -> Iterator[Section]:
    """The worst and the best scenes by a figure."""
    for end, names in _ends(judged, figure, more_is_better=_FIGURES[figure][2]):
        items = (
            Item(f"{name}  {form.format(judged.figures[name][figure])}", images(name))
            for name in names[:shown]
        )
        yield Section(f"{end} {what}", headings, tuple(items))


def _ends(judged: Judged, figure: str, *, more_is_better: bool) -> list[tuple[str, list[str]]]:
    """Scenes at both ends, none of them twice."""
    ranked = sorted(judged.figures, key=lambda name: (judged.figures[name][figure], name))
    if not more_is_better:
        ranked.reverse()
    shown = min(SHOWN, (len(ranked) + 1) // 2)
    best = ranked[max(shown, len(ranked) - shown) :]
    return [("Worst", ranked[:shown]), ("Best", best[::-1])]


def _rims(scene: TrueScene, pasted: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Each composite and the truth, cut to where the composites differ most from it."""
    error = np.abs(np.stack(pasted).astype(np.int16) - scene.truth).sum(axis=(0, 3))
    row, column = np.unravel_index(int(error.argmax()), error.shape)
    side = max(8, round(_RIM_WINDOW * max(error.shape)))
    top = int(np.clip(row - side // 2, 0, max(0, error.shape[0] - side)))
    left = int(np.clip(column - side // 2, 0, max(0, error.shape[1] - side)))
    return tuple(image[top : top + side, left : left + side] for image in (*pasted, scene.truth))


def write_calibration(calibration: Calibration, config: CalibrationConfig, out: Path) -> str:
    """Write calibration.json, .md and .png into `out`, each whole or not at all; returns the Markdown."""
    rows = table(calibration, config.seed)
    text = markdown(calibration, rows)
    record = {
        "config": json.loads(config.model_dump_json(exclude={"assets", "execution"})),
        "scenes": [{"name": scene.name, "subject": scene.subject} for scene in calibration.scenes],
        "refused": calibration.refused,
        "table": rows,
        "images": {
            part: [
                {"method": judged.method, "figures": judged.figures, "refused": judged.refused}
                for judged in methods
            ]
            for part, methods in (
                ("masks", calibration.masks),
                ("relighting", calibration.relighting),
                ("pasting", calibration.pasting),
            )
        },
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "calibration.json", [canonical_json(record)])
    write_atomically(out / "calibration.md", [text.encode()])
    write_png(out / "calibration.png", sheet(calibration))
    return text
