"""Stages of a run: skipped only if nothing they depend on, and nothing they made, has changed."""

from pathlib import Path

import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.datagen.core.json_digest import file_sha256
from pairbridge.pipelines.runs.run_config import load_run
from pairbridge.pipelines.runs.stages import Stage, StageRecords, foresee, run_stages, set_aside


class Chain:
    """Two stages over files: `copy` reads settings, `double` reads what `copy` made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = {"text": "a", "size": 1}
        self.made: list[str] = []
        self.said: list[str] = []
        self.records = StageRecords(folder / "stages")
        self.stages = (
            self._stage("copy", lambda: self.settings, lambda: self.settings["text"]),
            self._stage("double", lambda: {"copy": self._digest("copy")}, lambda: 2 * self._read("copy")),
        )

    def run(self, forced_from: str | None = None) -> list[str]:
        """Names of the stages that ran."""
        self.made, self.said = [], []
        run_stages(self.stages, self.records, forced_from=forced_from, say=self.said.append)
        return self.made

    def foresee(self, forced_from: str | None = None) -> list[str]:
        self.said = []
        foresee(self.stages, self.records, forced_from=forced_from, say=self.said.append)
        return self.said

    def _stage(self, name: str, inputs, content) -> Stage:
        def make() -> None:
            self.made.append(name)
            (self.folder / name).mkdir(exist_ok=True)
            self._path(name).write_text(content())

        return Stage(
            name=name,
            inputs=inputs,
            make=make,
            outputs=lambda: self._digest(name),
            discard=lambda: set_aside(self.folder / name),
        )

    def _digest(self, name: str) -> str | None:
        path = self._path(name)
        return file_sha256(path) if path.exists() else None

    def _read(self, name: str) -> str:
        return self._path(name).read_text()

    def _path(self, name: str) -> Path:
        return self.folder / name / "text"


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def test_a_second_run_skips_everything_and_says_so(chain: Chain) -> None:
    assert chain.run() == ["copy", "double"]
    assert chain.run() == []
    assert chain.said == [
        f"skipping stage {name}: nothing it depends on has changed" for name in ("copy", "double")
    ]


def test_a_changed_setting_is_named_and_runs_what_depends_on_it(chain: Chain) -> None:
    chain.run()
    chain.settings = {"text": "b", "size": 1}
    assert chain.run() == ["copy", "double"]
    assert "running stage copy: changed: text: a there, b now" in chain.said


def test_a_stage_that_makes_the_same_again_does_not_run_the_next(chain: Chain) -> None:
    chain.run()
    chain.settings = {"text": "a", "size": 2}
    assert chain.run() == ["copy"]


def test_a_lost_or_altered_result_is_made_again(chain: Chain) -> None:
    chain.run()
    (chain.folder / "double" / "text").unlink()
    assert chain.run() == ["double"]
    (chain.folder / "copy" / "text").write_text("tampered with")
    assert chain.run() == ["copy"]


def test_a_stage_that_failed_half_way_is_not_finished(chain: Chain, tmp_path: Path) -> None:
    chain.run()
    chain.settings = {"text": "b", "size": 1}
    (tmp_path / "copy" / "text").unlink()
    (tmp_path / "copy" / "text").mkdir()  # writing the result now fails
    with pytest.raises(IsADirectoryError):
        chain.run()
    (tmp_path / "copy" / "text").rmdir()
    assert chain.run() == ["copy", "double"]


def test_from_a_stage_starts_afresh_there_and_keeps_the_old_work(chain: Chain, tmp_path: Path) -> None:
    chain.run()
    assert chain.run(forced_from="double") == ["double"]
    assert chain.run(forced_from="copy") == ["copy", "double"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "copy",
        "copy.replaced-1",
        "double",
        "double.replaced-1",
        "double.replaced-2",
        "stages",
    ]


def test_an_unknown_stage_is_refused_with_the_names_before_anything_is_touched(chain: Chain) -> None:
    chain.run()
    with pytest.raises(ConfigError, match="copy, double"):
        chain.run(forced_from="dbl")
    assert chain.run() == []


def test_a_dry_run_says_what_would_happen_and_does_nothing(chain: Chain, tmp_path: Path) -> None:
    assert chain.foresee() == [
        "would run stage copy: it has not run to its end before",
        "would run stage double if copy changes what it reads",
    ]
    assert list(tmp_path.iterdir()) == []
    chain.run()
    assert all("would skip stage" in line for line in chain.foresee())
    assert "would restart stage double (--from double)" in chain.foresee(forced_from="double")


def test_overrides_go_to_the_part_they_name(tmp_path: Path) -> None:
    overrides = [
        "dataset.render.samples=2",
        "training.steps=7",
        "mix.sources.0.weight=3",
        "evaluation.size=64",
    ]
    run = load_run("demo", tmp_path, [*overrides, "name=other", "training=smoke"])
    assert (run.dataset.render.samples, run.evaluation.size, run.mix.sources[0].weight) == (2, 64, 3)
    assert (run.training.steps, run.training.size) == (7, 48)
    assert run.folder == tmp_path / "other"


def test_an_override_of_an_unknown_part_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'dataset'"):
        load_run("demo", tmp_path, ["datset.seed=3"])


def test_parts_are_found_beside_the_run_that_names_them(tmp_path: Path) -> None:
    from tests.support.small_run import write_small_run

    path = write_small_run(tmp_path / "configs")
    run = load_run(str(path), tmp_path / "runs")
    assert run.dataset.assets.photos == ((tmp_path / "configs" / "photos").resolve(),)
    assert run.folder == tmp_path / "runs" / "small"
