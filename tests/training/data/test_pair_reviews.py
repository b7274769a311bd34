"""A mix that uses a part of a source's pairs: which are drawn, what is refused, what a resume holds on to."""

import json
from pathlib import Path

import pytest

from pairbridge.datagen.core.errors import ConfigError
from pairbridge.training.data.buckets import BucketSequence
from pairbridge.training.data.draws import plan_draws
from pairbridge.training.data.loader import MixedLoader
from pairbridge.training.data.mix_config import MixConfig
from pairbridge.training.data.mix_report import describe_mix
from tests.support.tiny_dataset import TinyDataset, TinyRecipe

BUCKETS = BucketSequence.single(size=16, batch_size=4)
KEYS = [f"swap-train-{number:08d}" for number in range(12)]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reviewed")
    TinyDataset(recipes={"swap": TinyRecipe(groups={"train": 6})}, name="tiny").write(folder / "dataset")
    return folder


def review(path: Path, accepted: list[str], rejected: list[str], dataset: str = "tiny") -> Path:
    said = {"format": "pairbridge-review/1", "dataset": dataset, "accepted": accepted, "rejected": rejected}
    path.write_text(json.dumps({**said, "tags": {KEYS[0]: ["odd"]}}))
    return path


def mix(**files: Path) -> MixConfig:
    source = {"name": "a", "path": "run:dataset", "recipe": "swap", **files}
    return MixConfig.model_validate({"sources": [source]})


def drawn(mix: MixConfig, root: Path, batches: int = 6) -> list[str]:
    plan, (pairs,) = plan_draws(mix, run_root=root, buckets=BUCKETS)
    return [pairs.key(draw.index) for number in range(batches) for draw in plan.batch(number)]


def test_rejected_pairs_are_never_drawn_and_accepted_ones_alone_where_they_are_asked_for(
    root: Path, tmp_path: Path
) -> None:
    said = review(tmp_path / "review.json", accepted=KEYS[2:6], rejected=KEYS[8:])
    # 24 draws: every one of eight pairs three times, every one of four six times.
    assert sorted(drawn(mix(exclude=said), root)) == sorted(3 * KEYS[:8])
    assert sorted(drawn(mix(keep=said), root)) == sorted(6 * KEYS[2:6])
    listed = tmp_path / "keys.txt"
    listed.write_text("# those that are left out, too\n\n" + "\n".join(KEYS[4:6]) + "\n")
    assert sorted(drawn(mix(keep=said, exclude=listed), root)) == sorted(12 * KEYS[2:4])


def test_a_batch_holds_the_pairs_that_are_used_and_the_forecast_counts_them(
    root: Path, tmp_path: Path
) -> None:
    said = review(tmp_path / "review.json", accepted=[], rejected=KEYS[:8])
    loader = MixedLoader(mix(exclude=said), run_root=root, buckets=BUCKETS)
    batch = next(iter(loader.batches()))
    assert sorted(batch["keys"]) == [f"a/{key}" for key in KEYS[8:]]
    (forecast,) = describe_mix(mix(exclude=said), run_root=root, buckets=BUCKETS, num_batches=6).sources
    assert (forecast.pairs, forecast.excluded, forecast.epochs) == (4, 8, 6.0)


def test_another_choice_is_another_history_and_none_is_the_one_of_before(root: Path, tmp_path: Path) -> None:
    def facts(**files: Path) -> dict:
        return MixedLoader(mix(**files), run_root=root, buckets=BUCKETS).digests["mix_sources"][0]

    one = review(tmp_path / "one.json", accepted=[], rejected=KEYS[:1])
    same = review(tmp_path / "same.json", accepted=KEYS[1:], rejected=KEYS[:1])
    other = review(tmp_path / "other.json", accepted=[], rejected=KEYS[1:2])
    assert facts(exclude=one) == facts(exclude=same) == facts(keep=same) != facts(exclude=other)
    assert "choice" not in facts()


def test_reviews_of_other_datasets_and_choices_of_nothing_are_refused(root: Path, tmp_path: Path) -> None:
    foreign = review(tmp_path / "foreign.json", accepted=KEYS, rejected=[], dataset="other")
    with pytest.raises(ConfigError, match="a review of the dataset 'other', and the source is of 'tiny'"):
        drawn(mix(keep=foreign), root)
    nothing = review(tmp_path / "nothing.json", accepted=[], rejected=[])
    with pytest.raises(ConfigError, match="leave none of its 12 pairs"):
        drawn(mix(keep=nothing), root)
    with pytest.raises(
        ConfigError, match=r"gone\.txt cannot be read as a review or list of pairs: No such file"
    ):
        drawn(mix(exclude=tmp_path / "gone.txt"), root)
    (tmp_path / "half.json").write_text('{"format": "pairbridge-review/1"')
    with pytest.raises(ConfigError, match=r"half\.json cannot be read"):
        drawn(mix(exclude=tmp_path / "half.json"), root)
