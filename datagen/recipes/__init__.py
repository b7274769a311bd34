"""One file per way of making a pair; this registry is what configurations and plans know them by."""

from collections.abc import Callable
from typing import Any

from datagen.recipes.base import Recipe, RecipeConfig
from datagen.recipes.controllable_relighting import ControllableRelighting, ControllableRelightingConfig
from datagen.recipes.geometry import Geometry, GeometryConfig
from datagen.recipes.object_removal import ObjectRemoval, ObjectRemovalConfig
from datagen.recipes.own import OwnRecipeConfig, open_own_recipe
from datagen.recipes.photo_relighting import PhotoRelighting, PhotoRelightingConfig
from datagen.recipes.photo_removal import PhotoRemoval, PhotoRemovalConfig
from datagen.recipes.relighting_swap import RelightingSwap, RelightingSwapConfig
from datagen.recipes.restoration import Restoration, RestorationConfig
from datagen.recipes.shadow_generation import ShadowGeneration, ShadowGenerationConfig

RECIPES: dict[str, tuple[type[RecipeConfig], Callable[[Any], Recipe]]] = {
    "relighting_swap": (RelightingSwapConfig, RelightingSwap),
    "geometry": (GeometryConfig, Geometry),
    "restoration": (RestorationConfig, Restoration),
    "photo_relighting": (PhotoRelightingConfig, PhotoRelighting),
    "object_removal": (ObjectRemovalConfig, ObjectRemoval),
    "controllable_relighting": (ControllableRelightingConfig, ControllableRelighting),
    "shadow_generation": (ShadowGenerationConfig, ShadowGeneration),
    "photo_removal": (PhotoRemovalConfig, PhotoRemoval),
    "own": (OwnRecipeConfig, open_own_recipe),
}
