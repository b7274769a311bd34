"""The scene's collections, by name: made when first asked for, empty again after a new scene. Needs bpy."""

import bpy


def collection_of(name: str) -> bpy.types.Collection:
    """The collection of this name, linked to the scene."""
    found = bpy.data.collections.get(name)
    if found is None:
        found = bpy.data.collections.new(name)
        bpy.context.scene.collection.children.link(found)
    return found
