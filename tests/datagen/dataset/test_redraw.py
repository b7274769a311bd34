"""A refused pair is drawn again from a seed stream of its own, and every refused draw is on record."""

import json
from pathlib import Path

import pytest

from pairbridge.datagen.core.errors import AssetError, Rejected
from pairbridge.datagen.dataset.plan import DatasetPlan
from pairbridge.datagen.dataset.redraw import MadeGroup, Refusal, make_group
from pairbridge.datagen.dataset.verify import verify_dataset
from pairbridge.datagen.shards.commit import rejection_counts
from pairbridge.pipelines.generation.generate import generate
from pairbridge.pipelines.generation.progress import LogLines
from tests.support.sidecars import read_sidecars
from tests.support.tiny_photos import plan_of, workbench_of, write_photo_assets


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo_assets(tmp_path_factory.mktemp("photos"))


def picky(assets: Path, **recipe: object) -> DatasetPlan:
    """Removal pairs of which about half are refused: only masks of at least a quarter of the frame pass."""
    settings = {
        "kind": "photo_removal",
        "groups": {"train": 6},
        "store_source": True,
        "gates": {"mask": [0.25, 1.0]},
        "mask": {"coverage": [0.02, 0.4]},
        "redraws": 5,
    }
    return plan_of(assets, **settings | recipe)


def make(plan: DatasetPlan, group: int, root: Path) -> MadeGroup:
    with workbench_of(plan, root) as workbench:
        return make_group(plan, plan.group(plan.streams[0], group), workbench)


def draws(made: MadeGroup) -> list[int]:
    return [outcome[1]["meta.json"]["draw"] for outcome in made.outcomes]


def test_a_redraw_has_parameters_of_its_own_and_moves_no_other(assets: Path) -> None:
    plan = picky(assets)
    stream = plan.streams[0]
    texts = {json.dumps(plan.group(stream, group, draw).params) for group in range(6) for draw in range(6)}
    assert len(texts) == 36
    assert plan.group(stream, 3).params == plan.group(stream, 3, 0).params
    assert plan.group(stream, 3, 2).params == picky(assets).group(stream, 3, 2).params


def test_each_pair_comes_from_the_first_draw_that_passes(assets: Path, tmp_path: Path) -> None:
    plan = picky(assets)
    found = [make(plan, group, tmp_path) for group in range(6)]
    for group, made in enumerate(found):
        with workbench_of(plan, tmp_path) as workbench:
            recipe = plan.recipes["r"]
            for place, (key, pair) in enumerate(made.outcomes):
                own = pair["meta.json"]["draw"]
                refused = [refusal.spec.draw for refusal in made.rejected if refusal.key == key]
                assert refused == list(range(own))
                assert (pair["mask.png"] > 127).mean() >= 0.25
                # What this draw gives by itself, neighbours or not.
                alone = recipe.make(plan.group(plan.streams[0], group, own), workbench)[place]
                assert (alone["target.png"] == pair["target.png"]).all()
                assert alone["meta.json"] == pair["meta.json"]
    every = [draw for made in found for draw in draws(made)]
    assert 0 in every
    assert max(every) > 1
    assert all(refusal.error.gate == "mask_empty" for made in found for refusal in made.rejected)


def test_what_fails_to_the_last_draw_is_refused_and_counted(assets: Path, tmp_path: Path) -> None:
    made = make(picky(assets, gates={"mask": [0.9, 1.0]}, redraws=2), 0, tmp_path)
    assert all(isinstance(outcome, Refusal) for outcome in made.outcomes)
    assert [refusal.spec.draw for refusal in made.rejected] == [0, 0, 1, 1, 2, 2]
    assert [outcome.spec.draw for outcome in made.outcomes] == [2, 2]
    never = make(picky(assets, gates={"mask": [0.9, 1.0]}, redraws=0), 0, tmp_path)
    assert len(never.rejected) == 2


def test_a_broken_asset_is_not_drawn_again(assets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "broken.png").write_bytes((assets / "photos" / "a.png").read_bytes())
    (folder / "catalogue.yaml").write_text("broken: {split: train}")
    plan = plan_of(assets, folder, kind="photo_removal")
    # After the plan was made: what is broken before is not in it.
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    made = make(plan, 0, tmp_path)
    assert made.rejected == []
    assert all(isinstance(outcome.error, AssetError) for outcome in made.outcomes)


def test_a_refusal_survives_pickling() -> None:
    import pickle

    there = pickle.loads(pickle.dumps(Rejected("a", consequence="b", remedy="c", gate="noisy")))
    assert (there.cause, there.gate) == ("a", "noisy")


def test_redrawn_datasets_are_the_same_for_any_workers_and_verify_knows(
    assets: Path, tmp_path: Path, ray_address: str
) -> None:
    plan = picky(assets, redraws=1)
    folders = [tmp_path / str(workers) for workers in (1, 2)]
    for workers, out in enumerate(folders, start=1):
        generate(plan.config, out, workers=workers, on_progress=LogLines())
    one, two = (
        {path.name: path.read_bytes() for path in [*out.glob("shards/*"), out / "quarantine.jsonl"]}
        for out in folders
    )
    assert one == two
    assert verify_dataset(folders[0], decode=True).findings == ()
    (sidecar,) = read_sidecars(folders[0] / "shards")
    assert {hole.gate for hole in sidecar.holes} == {"mask_empty"}
    assert rejection_counts([sidecar]) == {("r", "mask_empty"): len(sidecar.rejections)}
    assert "mask_empty" in (folders[0] / "README.md").read_text()

    # A record that hides a refused draw is found out.
    path = folders[0] / "shards" / f"{sidecar.shard.name}.json"
    redrawn = next(hole.key for hole in sidecar.holes)
    kept = tuple(rejection for rejection in sidecar.rejections if rejection.key != redrawn)
    path.write_bytes(sidecar.model_copy(update={"rejections": kept}).to_json())
    problems = [finding.problem for finding in verify_dataset(folders[0]).findings]
    assert any(f"{redrawn} was given up after 0 of 2 draws" in problem for problem in problems)
    kept = tuple(r for r in sidecar.rejections if r.key in {hole.key for hole in sidecar.holes})
    assert kept != sidecar.rejections
    path.write_bytes(sidecar.model_copy(update={"rejections": kept}).to_json())
    problems = [finding.problem for finding in verify_dataset(folders[0]).findings]
    assert any("says draw 1 instead of 0" in problem for problem in problems)
