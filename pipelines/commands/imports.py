"""`pairbridge import | photos`: data sets and photographs of others, where they lie."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pairbridge.pipelines.commands.config_kinds import load
from pairbridge.pipelines.commands.options import EXIT_PARTIAL, Set, folder_option

if TYPE_CHECKING:
    from pairbridge.datagen.imports.candidates import Refused

# More reasons than this are only in the file that lists them all.
_SHOWN = 5


def import_(
    config: Annotated[
        str,
        typer.Argument(metavar="CONFIG", help="An import's YAML file, or a shipped one's such as `rord`."),
    ],
    out: Annotated[Path, folder_option("--out", help="The import's folder: an index, no pixels.")],
    root: Annotated[
        Path | None, typer.Option("--root", help="The data set's folder [default: the config's `root`].")
    ] = None,
    hash_files: Annotated[
        bool, typer.Option("--hash", help="Record the sha256 of every file; reads all of them once.")
    ] = False,
    settings: Set = None,
) -> None:
    """Index a data set of others where it lies, for mixes.

    A mix takes OUT as the `path` of a source. Ends with status 2 if some pairs cannot be used
    (OUT/rejected.jsonl says why).
    """
    # Imported late: numpy and OpenCV.
    from pairbridge.datagen.imports.indexing import import_dataset

    overrides = [*(settings or ()), *([f"root={json.dumps(str(root.absolute()))}"] if root else ())]
    loaded = load("import", config, overrides)
    with _pairs_bar() as on_progress:
        report = import_dataset(loaded, out.absolute(), hash_files=hash_files, on_progress=on_progress)
    for split, count in report.pairs.items():
        print(f"{split:<11} {count:>8} pairs of {report.groups[split]} independent groups")
    if not report.pairs["train"]:
        print("no pair is in train: it is for evaluation, unless `splits` or `group_by` of the config change")
    print(f"in a mix: {{path: {out.absolute()}, recipe: {report.name}}}")
    if report.refused:
        _show_refused(report.refused, out / "rejected.jsonl")
        raise typer.Exit(EXIT_PARTIAL)


def photos(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of photographs.")],
    min_side: Annotated[
        int | None, typer.Option(min=1, help="Pixels of the shorter side [default: as a dataset's].")
    ] = None,
    max_aspect: Annotated[
        float | None, typer.Option(min=1, help="Longer side over shorter [default: as a dataset's].")
    ] = None,
    distance: Annotated[
        int, typer.Option(min=0, max=20, help="Bits of 64 within which two photographs are the same.")
    ] = 4,
    exclude: Annotated[
        bool, typer.Option("--exclude", help="Write what was found into the folder's catalogue.yaml.")
    ] = False,
) -> None:
    """Check photographs: unusable ones and near-duplicates.

    Ends with status 2 if there are any. With --exclude datasets leave them out.
    """
    # Imported late: numpy and OpenCV.
    from pairbridge.datagen.assets.photographs import PhotoRules
    from pairbridge.datagen.sourcing.photo_audit import audit_photographs, write_exclusions
    from pairbridge.datagen.sourcing.sources import PIN_FILE

    given = {"min_side": min_side, "max_aspect": max_aspect}
    rules = PhotoRules(**{name: value for name, value in given.items() if value is not None})
    audit = audit_photographs(folder, rules, distance=distance)
    found = {**audit.problems, **audit.others}
    print(f"{audit.usable} of {audit.usable + len(found)} photographs are fit for use")
    for name, problem in sorted(found.items()):
        print(f"  {name}: {problem}")
    if exclude and audit.problems:
        write_exclusions(folder / PIN_FILE, audit.problems)
        print(f"written: {folder / PIN_FILE}")
    if found:
        raise typer.Exit(EXIT_PARTIAL)


def show_imported(folder: Path) -> None:
    """Counts of an import, from its import.json."""
    # Imported late: pydantic.
    from pairbridge.datagen.imports.import_manifest import ImportManifest

    manifest = ImportManifest.from_folder(folder)
    print(f"import {manifest.name} of {manifest.root}: {', '.join(sorted(manifest.codecs))}")
    for split, info in manifest.splits.items():
        print(f"{split:<11} {info.pairs:>8} pairs")
    print(f"{manifest.rejected} found and not used; {folder / 'rejected.jsonl'} says why")


@contextmanager
def _pairs_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar of checked pairs where a person looks, nothing elsewhere."""
    from rich.progress import Progress

    with Progress(transient=True, disable=not sys.stdout.isatty()) as progress:
        bar = progress.add_task("pairs", total=None)
        yield lambda done, of: progress.update(bar, completed=done, total=of)


def _show_refused(refused: "tuple[Refused, ...]", listed: Path) -> None:
    print(f"{len(refused)} found and not used; {listed} says why:")
    for entry in refused[:_SHOWN]:
        print(f"  {entry.id}: {entry.reason}")
