"""What a user's object must be to be used, and which add-ons may read it: part of a dataset's config."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from pairbridge.datagen.core.frozen import FrozenModel
from pairbridge.datagen.core.random_draws import LimitsOf

UpAxis = Literal["y", "z"]
Suffix = Annotated[str, Field(pattern=r"^\.[a-z0-9]+$")]
_OPERATOR = re.compile(r"[a-z_0-9]+\.[a-z_0-9]+\Z")


class ObjectRules(FrozenModel):
    """Limits on objects from files. One that breaks a limit costs its own groups, which go to quarantine."""

    max_file_mib: PositiveInt = 1024
    """Largest size of a file in MiB, without what it refers to."""
    max_faces: PositiveInt = 2_000_000
    """Largest number of faces, with modifiers applied and instances counted."""
    max_texture_side: PositiveInt = 4096
    """Largest side of a texture in pixels; an 8K texture alone takes 256 MB."""
    radius: LimitsOf[PositiveFloat] = (1e-9, 1e9)
    """Least and largest bounding radius in the file's own units (metres in most). Every object is scaled to
    radius 1, so the default only catches nonsense; [1e-3, 1e3] would refuse dust and whole landscapes."""
    believed_m: LimitsOf[PositiveFloat] = (0.02, 5.0)
    """Least and largest longest side, in metres, for which an object has the size that its file states. Many
    files are in metres by their format alone, and hold a chair of 80 metres; one outside is given a size."""


class AddonConfig(FrozenModel):
    """A Blender add-on or extension of the user's, enabled in Blender's child process and nowhere else.

    Its code runs with the rights of whoever runs pairbridge: name only add-ons you would install in Blender.
    """

    path: Path
    """Folder of the add-on (not its zip), or its one .py file."""
    imports: dict[Suffix, str] = Field(default_factory=dict)
    """File suffixes and the import operators, taking a `filepath`, that the add-on registers for them. Files
    of these suffixes in the object folders are then objects too: {.mhx2: import_scene.makehuman_mhx2}."""

    @field_validator("imports")
    @classmethod
    def _operators(cls, imports: dict[str, str]) -> dict[str, str]:
        for operator in imports.values():
            if not _OPERATOR.match(operator):
                raise ValueError(f"{operator!r} is no operator's name such as import_scene.name")
        return imports

    @property
    def name(self) -> str:
        """The module's name."""
        return self.path.stem if self.path.suffix == ".py" else self.path.name
