"""The terms of the models that are about to be used, before they are."""

import sys
from collections.abc import Iterable

from pydantic import BaseModel

from pairbridge.datagen.models.weights.model_terms import model_terms


def show_model_terms(recipes: Iterable[BaseModel]) -> None:
    """One line for each published model that recipes' matting models and relighters name, on standard
    error."""
    for model_id, terms in model_terms(recipe.model_dump(mode="json") for recipe in recipes):
        print(f"uses {model_id}: {terms}", file=sys.stderr)
