"""One file per way of making a pair; this registry is what configurations and plans know them by.

`base` is the contract, `workbench` what a recipe works with, `user_recipe` a recipe of the user's own,
`rendering` renders without any. Imports all rooms below; never `dataset`, which plans and draws again.
"""

from collections.abc import Callable
from typing import Any

from pairbridge.datagen.recipes.base import Recipe, RecipeConfig
from pairbridge.datagen.recipes.composite_removal import CompositeRemoval, CompositeRemovalConfig
from pairbridge.datagen.recipes.controllable_relighting import (
    ControllableRelighting,
    ControllableRelightingConfig,
)
from pairbridge.datagen.recipes.geometry import Geometry, GeometryConfig
from pairbridge.datagen.recipes.object_removal import ObjectRemoval, ObjectRemovalConfig
from pairbridge.datagen.recipes.photo_relighting import PhotoRelighting, PhotoRelightingConfig
from pairbridge.datagen.recipes.photo_removal import PhotoRemoval, PhotoRemovalConfig
from pairbridge.datagen.recipes.relighting_swap import RelightingSwap, RelightingSwapConfig
from pairbridge.datagen.recipes.restoration import Restoration, RestorationConfig
from pairbridge.datagen.recipes.shadow_generation import ShadowGeneration, ShadowGenerationConfig
from pairbridge.datagen.recipes.user_recipe import OwnRecipeConfig, open_own_recipe

RECIPES: dict[str, tuple[type[RecipeConfig], Callable[[Any], Recipe]]] = {
    "relighting_swap": (RelightingSwapConfig, RelightingSwap),
    "geometry": (GeometryConfig, Geometry),
    "restoration": (RestorationConfig, Restoration),
    "photo_relighting": (PhotoRelightingConfig, PhotoRelighting),
    "object_removal": (ObjectRemovalConfig, ObjectRemoval),
    "controllable_relighting": (ControllableRelightingConfig, ControllableRelighting),
    "shadow_generation": (ShadowGenerationConfig, ShadowGeneration),
    "photo_removal": (PhotoRemovalConfig, PhotoRemoval),
    "composite_removal": (CompositeRemovalConfig, CompositeRemoval),
    "own": (OwnRecipeConfig, open_own_recipe),
}
