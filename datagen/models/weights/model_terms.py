"""Under which terms the models stand that a dataset's masks and relit foregrounds come from."""

from collections.abc import Iterable, Mapping
from typing import Any

from pairbridge.datagen.models.weights.weights_manifest import MODELS

UNKNOWN_TERMS = "terms not known to pairbridge"


def model_terms(recipes: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(model id, terms) of every published model that recipes name, those without commercial use first.

    Each recipe is its config as JSON. Stand-ins are no models, and have none.
    """
    named = {
        model_id
        for recipe in recipes
        for role in ("matting", "relighter")
        for key, model_id in (recipe.get(role) or {}).items()
        if key in ("model", "base", "offsets")
    }
    known = {model.id: model for model in MODELS}
    found = [(model_id, known[model_id].terms if model_id in known else UNKNOWN_TERMS) for model_id in named]
    return sorted(
        found,
        key=lambda entry: (entry[0] not in known or known[entry[0]].commercial_use, entry[0]),
    )
