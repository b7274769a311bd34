"""README.md is the site's first page, and what pages link to outside of docs/ comes along as it is."""

import contextlib
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
ROOMS = ("blender_assets", "datagen", "pipelines", "training")
_LINK = re.compile(r"(\[[^\]]*\])\(((?![a-z]+:|#)[^)\s#]+)((?:#[^)\s]*)?)\)")


def on_startup(**_: Any) -> None:
    """Put the package together as an installation does, for the reference of the API."""
    package = ROOT / "build" / "importable" / "pairbridge"
    package.mkdir(parents=True, exist_ok=True)
    for room in (*ROOMS, *(path.name for path in (ROOT / "pairbridge").glob("*.py"))):
        link = package / room
        source = ROOT / room if room in ROOMS else ROOT / "pairbridge" / room
        # Another build may put it there at the same time.
        with contextlib.suppress(FileExistsError):
            link.symlink_to(source)


def on_files(files: Files, config: Any) -> Files:
    files.append(File.generated(config, "index.md", content=_relative((ROOT / "README.md").read_text())))
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    outside = {
        path for page in pages for path in _linked_files(page) if not path.is_relative_to(ROOT / "docs")
    }
    for path in sorted(outside - {ROOT / "README.md"}):
        files.append(File.generated(config, _place(path), content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links of a page to what lies outside of docs/; a folder there is named and not linked."""
    if page.file.src_uri == "index.md":
        return markdown
    here = (ROOT / "docs" / page.file.src_uri).parent
    up = "../" * page.file.src_uri.count("/")
    return _LINK.sub(lambda match: _link(match, here, up), markdown)


def _relative(readme: str) -> str:
    return _LINK.sub(lambda match: _link(match, ROOT, ""), readme)


def _link(match: re.Match[str], here: Path, up: str) -> str:
    text, target, anchor = match.groups()
    path = (here / target).resolve()
    if path.is_dir():
        return text[1:-1]
    if not path.is_file():
        # For mkdocs to complain of.
        return match[0]
    place = path.relative_to(ROOT / "docs").as_posix() if path.is_relative_to(ROOT / "docs") else _place(path)
    return f"{text}({up}{place}{anchor})"


def _linked_files(page: Path) -> list[Path]:
    links = (page.parent / match[2] for match in _LINK.finditer(page.read_text()))
    return [path.resolve() for path in links if path.is_file()]


def _place(path: Path) -> str:
    # As text: a browser shows it instead of saving it.
    return f"source/{path.relative_to(ROOT).as_posix().lstrip('.')}.txt"
