"""What a check of assets found: contact sheets, a page, JSON and a list for the terminal."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pairbridge.datagen.assets.catalogue import UNSPECIFIED
from pairbridge.datagen.core.atomic_files import write_atomically
from pairbridge.datagen.core.json_digest import canonical_json
from pairbridge.pipelines.checks.asset_check import Checked
from pairbridge.pipelines.checks.file_accounts import FileAccount, shown, summary
from pairbridge.pipelines.pages.html import page_environment
from pairbridge.pipelines.pages.sheets import Item, Section, contact_sheet, write_png

KINDS = {
    "object": "Objects",
    "hdri": "Lightings",
    "photo": "Photographs",
    "material": "Materials",
    "scene": "Rooms",
}
# A sheet of this many tiles can still be opened anywhere.
PER_SHEET = 240
_TILE = 160


def write_asset_report(
    found: Sequence[Checked], accounts: Sequence[FileAccount], root: Path, out: Path
) -> None:
    """Write assets.json, index.html, thumbnails/ and assets.png (assets-2.png and so on where one is not
    enough) into `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    for checked in found:
        if checked.thumbnail is not None:
            write_png(out / "thumbnails" / f"{checked.asset.id}.png", checked.thumbnail)
    for number, sheet in enumerate(_sheets(found), start=1):
        write_png(out / ("assets.png" if number == 1 else f"assets-{number}.png"), sheet)
    records = [checked.record(root) for checked in found]
    write_atomically(
        out / "assets.json",
        [canonical_json({"assets": records, "files": [a.record(root) for a in accounts]})],
    )
    environment = page_environment()
    page = environment.get_template("assets.html.j2").render(
        root=root.as_posix(),
        refused=[record for record in records if record["outcome"] != "usable"],
        sections=[
            (title, [r for r in records if r["kind"] == kind and r["outcome"] == "usable"])
            for kind, title in KINDS.items()
        ],
        counts=[(title, *_counts(found, kind)) for kind, title in KINDS.items()],
    )
    write_atomically(out / "index.html", [page.encode()])


def listing(found: Sequence[Checked], accounts: Sequence[FileAccount], root: Path) -> str:
    """Counts, then everything refused with its outcome and reason, hints, what is one under several names,
    and what has no licence.
    """
    lines = [summary(accounts)]
    for kind, title in KINDS.items():
        usable, refused = _counts(found, kind)
        if usable or refused:
            lines.append(f"{title:<12} {usable:>6} usable {refused:>6} refused")
    for checked in found:
        if not checked.usable:
            lines.append(f"{checked.record(root)['path']}: {checked.outcome}\n  {checked.reason}")
        if checked.hint:
            lines.append(f"{checked.record(root)['path']}: lies?\n  {checked.hint}")
    known = {checked.asset.path for checked in found}
    for account in accounts:
        if account.fate == "refused" and account.path not in known:
            lines.append(f"{shown(account.path, root)}: not an asset\n  {account.reason}")
    for names in _same(found):
        lines.append(f"one and the same, in one split: {', '.join(names)}")
    nameless = sum(checked.asset.licence == UNSPECIFIED for checked in found if checked.usable)
    if nameless:
        lines.append(f"{nameless} usable assets state no licence; a catalogue.yaml in their folder can")
    return "\n".join(lines)


def _same(found: Sequence[Checked]) -> Iterator[list[str]]:
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for checked in found:
        if checked.usable:
            groups[checked.asset.kind, checked.asset.group].append(checked.asset.id)
    yield from (names for names in groups.values() if len(names) > 1)


def _counts(found: Sequence[Checked], kind: str) -> tuple[int, int]:
    usable = Counter(checked.usable for checked in found if checked.asset.kind == kind)
    return usable[True], usable[False]


def _sheets(found: Sequence[Checked]) -> list[np.ndarray]:
    sheets = []
    for start in range(0, max(len(found), 1), PER_SHEET):
        page = found[start : start + PER_SHEET]
        sections = [
            Section(
                f"{title}: {sum(c.usable for c in here)} usable, {sum(not c.usable for c in here)} refused",
                ("",),
                tuple(
                    Item(
                        f"lies? {c.asset.id}" if c.hint else c.asset.id,
                        (c.thumbnail if c.thumbnail is not None else _refusal_tile(c.outcome),),
                    )
                    for c in here
                ),
            )
            for kind, title in KINDS.items()
            if (here := [c for c in page if c.asset.kind == kind])
        ]
        sheets.append(contact_sheet(sections, tile=_TILE))
    return sheets


def _refusal_tile(outcome: str) -> np.ndarray:
    """A pale red square that says what is wrong."""
    tile = Image.new("RGB", (_TILE, _TILE), (254, 226, 226))
    pen = ImageDraw.Draw(tile)
    pen.text(
        (_TILE / 2, _TILE / 2),
        outcome.replace("_", "\n"),
        (153, 27, 27),
        ImageFont.load_default(19),
        anchor="mm",
        align="center",
    )
    return np.asarray(tile)
