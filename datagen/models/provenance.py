"""How a sample names the matting models and relighters that had a part in it."""

from collections.abc import Iterable
from typing import Any, Protocol

from pydantic import BaseModel

# Appended to the name of what takes a learned model's place, so that it never passes for one.
STAND_IN = " (stand-in)"


class Tool(Protocol):
    """What a matting model and a relighter have in common."""

    name: str
    revision: str
    is_stand_in: bool  # True: takes the place of a learned model, and is named as such wherever it shows


def tool_name(tool: Tool) -> str:
    """Its name, marked if it is a stand-in: `grabcut (stand-in)`."""
    return tool.name + STAND_IN if tool.is_stand_in else tool.name


def recorded(tool: Tool, settings: BaseModel) -> dict[str, Any]:
    """Name, revision, whether it is a stand-in, and its settings, as JSON."""
    return {
        "name": tool.name,
        "revision": tool.revision,
        "is_stand_in": tool.is_stand_in,
        "settings": settings.model_dump(mode="json"),
    }


def models_of(recipes: Iterable[BaseModel]) -> list[BaseModel]:
    """The settings of every matting model and relighter of these recipes' configs."""
    found = [getattr(recipe, role, None) for recipe in recipes for role in ("matting", "relighter")]
    return [settings for settings in found if settings is not None]


def ask_for_gpu(recipes: Iterable[BaseModel]) -> bool:
    """Whether any matting or relighter of these recipes' configs wants to run on a GPU."""
    return any(getattr(settings, "device", "cpu") != "cpu" for settings in models_of(recipes))
