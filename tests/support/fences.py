"""The fenced blocks of Markdown pages, and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import typer

from pairbridge.pipelines.cli import app

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fence:
    """One block; `number` counts those of its page."""

    page: str
    number: int
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Lines as a shell takes them, without remarks."""
        lines = self.text.replace("\\\n", " ").splitlines()
        stripped = (re.sub(r"(^|\s+)#\s.*", "", line) for line in lines)
        return [re.sub(r"\s+", " ", line).strip() for line in stripped if line.strip()]


def fences_of(text: str, page: str) -> list[Fence]:
    return [Fence(page, number, *found) for number, found in enumerate(_FENCE.findall(text))]


def documented() -> dict[str, list[Fence]]:
    """Page, from the root: its blocks, for every page that has some."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = {str(page.relative_to(ROOT)): page for page in pages}
    return {name: fences for name, page in found.items() if (fences := fences_of(page.read_text(), name))}


def parse(command: str) -> None:
    """Raise what `pairbridge` raises for a command line that it does not have; nothing is run."""
    words = shlex.split(command.partition(" > ")[0])
    assert words.pop(0) == "pairbridge", command
    group = typer.main.get_command(app)
    while hasattr(group, "commands"):
        name = words.pop(0)
        assert name in group.commands, command
        group = group.commands[name]
    group.make_context("pairbridge", words)
