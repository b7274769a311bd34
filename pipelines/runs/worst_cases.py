"""The pairs of an evaluation that the model does worst, on one sheet: where to look first."""

from pathlib import Path
from typing import Any

from pairbridge.pipelines.pages.sheets import Item, Section, contact_sheet, write_png
from pairbridge.pipelines.runs.pictures import shown_translations
from pairbridge.training.evaluation.metrics import METRICS

SHEET_NAME = "worst.png"


def write_worst_sheet(evaluation: dict[str, Any], evaluation_dir: Path) -> Path | None:
    """Write the sheet beside evaluation.json; None where no source kept its worst pairs."""
    sections = [
        Section(
            f"{name}: worst by {METRICS[source['judged_by']].label}",
            ("source", "output", "target"),
            tuple(
                Item(one.key, (one.source, one.output, one.target))
                for one in shown_translations(evaluation_dir, name, source["worst"])
            ),
        )
        for name, source in evaluation["sources"].items()
        if source["worst"]
    ]
    if not sections:
        return None
    path = evaluation_dir / SHEET_NAME
    write_png(path, contact_sheet(sections))
    return path
