"""The documentation's site: every page has its place, no link leads nowhere, nothing comes from elsewhere."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from ruamel.yaml import YAML

import pairbridge
from tests.support.fences import ROOT

CONFIG = ROOT / ".ci" / "site" / "mkdocs.yml"


def pages_of(entries: list) -> list[str]:
    found: list[str] = []
    for entry in entries:
        below = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += pages_of(below) if isinstance(below, list) else [below]
    return found


def test_every_page_is_in_the_navigation_once() -> None:
    named = pages_of(YAML(typ="safe").load(CONFIG)["nav"])
    there = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(named) == sorted(["index.md", *there])


class Links(HTMLParser):
    """Anchors of a page, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.linked: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.anchors |= {given["id"]} if given.get("id") else set()
        if tag == "a" and given.get("href"):
            self.linked.append(given["href"])
        if tag in ("script", "img") and given.get("src"):
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon"):
            self.loaded.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="needs what `.ci/setup docs` installs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder]
    done = subprocess.run(command, cwd=CONFIG.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.long
def test_no_link_of_the_site_leads_nowhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = {path: Links(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 40
    for page, links in pages.items():
        for target in [*links.linked, *links.loaded]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                assert target in links.linked, f"{page.name} loads {target}"
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            path = path / "index.html" if path.is_dir() else path
            assert path.is_file(), f"{page.name}: {target}"
            if parts.fragment and path in pages:
                assert unquote(parts.fragment) in pages[path].anchors, f"{page.name}: {target}"


@pytest.mark.long
def test_the_reference_of_the_api_describes_every_public_name(site: Path) -> None:
    text = (site / "reference" / "api.html").read_text()
    described = set(re.findall(r'id="pairbridge\.(\w+)"', text))
    # Configurations have a reference of their own, key by key.
    assert described == set(pairbridge.__all__) - {"DatasetConfig", "MixConfig", "TrainingConfig"}


@pytest.mark.long
def test_a_page_that_is_nowhere_and_a_link_to_nothing_fail_the_build(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs what `.ci/setup docs` installs")
    for folder in (".ci", "docs", "pairbridge", "datagen", "training", "pipelines", "blender_assets"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", tmp_path)
    with open(tmp_path / "docs" / "tasks.md", "a") as stream:
        stream.write("\n[nothing](nowhere.md) and [less](training.md#no-such-heading)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build"],
        cwd=tmp_path / ".ci" / "site",
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "nowhere.md" in done.stderr
    assert "no-such-heading" in done.stderr
