"""Stacks and leanings of embedded families, measured by Blender: contact, no intersection, balance."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.render


def test_families_rest_on_and_against_each_other_and_walls(written_by: Callable[[str], Path]) -> None:
    pairs = json.loads((written_by("write_supports.py") / "supports.json").read_text())
    assert len(pairs) == 15
    for pair in pairs:
        relation = pair["pair"][0]
        assert pair["came"] == relation, pair
        # Drawn back by 0.1 mm it meets nothing, gone on by 1 mm it does: so the gap is at most 1 mm.
        assert pair["inside"] == 0, pair
        assert pair["meets"], pair
        # The centre of mass: inside the places that hold a stack, beyond the foot of what leans.
        assert pair["margin_m"] > 1e-3, pair
        if relation == "leaning":
            assert pair["ground_m"] == pytest.approx(0, abs=1e-9)
    assert sum(pair["wall"] for pair in pairs) == 4
