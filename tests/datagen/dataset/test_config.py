"""Dataset configurations: what is refused, and what counts as content."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pairbridge.datagen.dataset.dataset_config import DatasetConfig


def config(**changes: object) -> DatasetConfig:
    base = {"name": "demo", "recipes": {"relighting": {"kind": "relighting_swap", "groups": {"train": 1}}}}
    return DatasetConfig.model_validate(base | changes)


def recipe(**changes: object) -> DatasetConfig:
    return config(recipes={"relighting": {"kind": "relighting_swap", "groups": {"train": 1}} | changes})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"nmae": "x"}, "nmae"),
        ({"name": "No Spaces"}, "name"),
        ({"seed": -1}, "seed"),
        ({"recipes": {}}, "recipes"),
        ({"recipes": {"Bad Id": {"kind": "relighting_swap"}}}, "Bad Id"),
        ({"recipes": {"x": {"kind": "no_such_kind"}}}, "no_such_kind"),
        ({"lightings": {"skies": {"train": -1}}}, "skies"),
        ({"lightings": {"width": 511}}, "width"),
        ({"view": {"shoulder": 1.0}}, "shoulder"),
        ({"view": {"exposure": float("nan")}}, "exposure"),
        ({"groups_per_shard": 0}, "groups_per_shard"),
    ],
)
def test_a_wrong_value_is_refused_by_name(changes: dict, named: str) -> None:
    with pytest.raises(ValidationError) as refused:
        config(**changes)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"lightings_per_group": 3, "pairs_per_group": 7}, "6 ordered pairs"),
        ({"strength": [2.2, 0.45]}, "lower end first"),
        ({"strength": [0, 1]}, "strength"),
        ({"fov_deg": [10, 170]}, "fov_deg"),
        ({"elevation_deg": [0, 90]}, "elevation_deg"),
        ({"lighting_kinds": {"hdri": 0}}, "positive weight"),
        ({"lighting_kinds": {"moon": 1}}, "moon"),
        ({"groups": {"training": 5}}, "training"),
        ({"tint": 1.0}, "tint"),
    ],
)
def test_a_recipe_that_cannot_be_made_is_refused_by_name(changes: dict, named: str) -> None:
    with pytest.raises(ValidationError) as refused:
        recipe(**changes)
    assert named in str(refused.value)


def test_content_survives_a_round_trip_and_a_move_of_the_asset_folders() -> None:
    here = config(assets={"photos": [Path("/somewhere/photos")]})
    there = config(assets={"photos": [Path("/elsewhere/photos")]})
    assert DatasetConfig.model_validate(here.model_dump(mode="json")) == here
    assert here.digest == there.digest
    assert here.digest != config(assets={"embedded": False}).digest
    assert here.digest == config(execution={"request_timeout_s": 1.0}).digest
    assert "execution" not in here.content()


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config().seed = 3
