"""What a family hands over: meshes with the material each is made of."""

from dataclasses import dataclass

from datagen.blender.families.materials import Material
from datagen.blender.families.meshes import Mesh


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of an object. Parts with equal materials share one material slot."""

    name: str
    mesh: Mesh
    material: Material
