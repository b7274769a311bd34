"""Restoration pairs of photographs: what is stored, and that the source is what the parameters say."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pairbridge.datagen.imaging.degradations import degrade
from tests.support.tiny_photos import SIZE, made, plan_of, write_photo_assets


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo_assets(tmp_path_factory.mktemp("photos"))


ALL = {"second_order": 1, "bicubic4": 1, "pooled4": 1, "jpeg5": 1, "jpeg10": 1, "centre_hole": 1}


def test_the_source_is_the_target_degraded_as_recorded(assets: Path, tmp_path: Path) -> None:
    plan = plan_of(assets, kind="restoration", degradations=ALL, pairs_per_group=5)
    seen: Counter[str] = Counter()
    for pair in made(plan, tmp_path):
        assert tuple(sorted(pair)) == plan.streams[0].fields
        params = json.loads(pair["meta.json"]["params"])
        again = degrade(pair["target.png"], params["degradation"], params["parameters"], params["noise_seed"])
        assert (again == pair["source.png"]).all()
        seen[params["degradation"]] += 1
        # What the mask leaves out is untouched.
        outside = pair["mask.png"] == 0
        assert (pair["source.png"][outside] == pair["target.png"][outside]).all()
        assert outside.mean() == (0.75 if params["degradation"] == "centre_hole" else 0)
        # A mix can put noise into a hole.
        assert ("fill_seed" in params) == (params["degradation"] == "centre_hole")
        assert pair["target.png"].shape == (SIZE, SIZE, 3)
    assert set(seen) == set(ALL)


def test_pairs_of_a_photograph_differ(assets: Path, tmp_path: Path) -> None:
    first, second = made(plan_of(assets, kind="restoration"), tmp_path, [0])
    assert (first["target.png"] != second["target.png"]).any()
    noise = [json.loads(pair["meta.json"]["params"])["noise_seed"] for pair in (first, second)]
    assert noise[0] != noise[1]
    assert np.abs(first["source.png"].astype(int) - first["target.png"]).mean() > 1


@pytest.mark.parametrize("wrong", [{"degradations": {"second_order": 0}}, {"targets_from": {"photo": 0}}])
def test_a_recipe_of_nothing_is_refused(assets: Path, wrong: dict) -> None:
    with pytest.raises(ValueError, match="positive weight"):
        plan_of(assets, kind="restoration", **wrong)
