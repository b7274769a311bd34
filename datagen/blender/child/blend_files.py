"""Objects out of a .blend: appended, never opened, so that none of its settings or scripts runs. Needs bpy.

A file that wants to run Python (a text that registers itself, a driver beyond plain arithmetic) is refused:
with scripts off it would not look as its author saw it.
"""

from pathlib import Path

import bpy

from pairbridge.datagen.assets.object_files import unusable


def append_blend(path: Path) -> None:
    """Add what the first scene of the file renders, or all of its objects where it has no scene."""
    with bpy.data.libraries.load(str(path), link=False) as (there, wanted):
        wanted.scenes = there.scenes
        wanted.texts = there.texts
        if not there.scenes:
            wanted.objects = there.objects
    for text in wanted.texts:
        if text.use_module:
            raise unusable(path, "script", f"its text {text.name!r} is a script that wants to run on opening")
        bpy.data.texts.remove(text)
    if wanted.scenes:
        _link_rendered(wanted.scenes[0].view_layers[0].layer_collection)
        for scene in wanted.scenes:
            bpy.data.scenes.remove(scene)
    else:
        for item in wanted.objects:
            bpy.context.scene.collection.objects.link(item)
    for library in bpy.data.libraries:
        if not Path(bpy.path.abspath(library.filepath)).is_file():
            raise unusable(path, "missing_library", f"it links to {library.filepath}, which is not there")
    # Drivers are evaluated here, and Blender notes those whose expression it refused.
    bpy.context.evaluated_depsgraph_get()
    if bpy.app.autoexec_fail:
        raise unusable(path, "script", f"it wants to run Python: {bpy.app.autoexec_fail_message}")


def _link_rendered(layer: bpy.types.LayerCollection) -> None:
    """Link the objects of a layer's collections, leaving out those that its scene does not render."""
    if layer.exclude or layer.collection.hide_render:
        return
    linked = bpy.context.scene.collection.objects
    for item in layer.collection.objects:
        # An object may lie in several collections.
        if item.name not in linked:
            linked.link(item)
    for child in layer.children:
        _link_rendered(child)
