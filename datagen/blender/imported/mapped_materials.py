"""Materials of the user's maps: colours in sRGB, all else as plain numbers, normals of both conventions.
Needs bpy.
"""

from collections.abc import Mapping
from pathlib import Path

import bpy

from pairbridge.datagen.assets.material_maps import MapRole, material_maps
from pairbridge.datagen.assets.object_formats.file_references import check_readable
from pairbridge.datagen.blender.shading.shader_nodes import Graph, Socket, Value
from pairbridge.datagen.core.errors import AssetError
from pairbridge.datagen.scene.specs import SurfaceSpec

# Of a material's relief from black to white, over the side of its picture: joints of bricks and cobbles.
_RELIEF = 0.02
# Of a surface whose maps say nothing of it: painted wood, plaster, dry stone.
_USUAL_ROUGHNESS = 0.7


def mapped_material(name: str, surface: SurfaceSpec) -> tuple[bpy.types.Material, float]:
    """A new material of the maps at `surface.material`, for a mesh whose texture coordinates count pictures,
    and the height of its picture over its width.

    Occlusion darkens the colour, for a flat surface casts no shadow into its joints; the relief is a bump
    where there is no normal map, which would say it twice. Opacity is white, or the catalogue has refused
    the material. Raises AssetError for a map that Blender cannot read, FileUnreadable for one that this
    process cannot.
    """
    maps = material_maps(Path(surface.material))
    material = bpy.data.materials.new(name)
    graph = Graph(material)
    packed = None
    if "arm" in maps:
        packed = graph.node("SeparateColor", {"Color": _picture(graph, maps["arm"])}).outputs
    graph.finish(
        base_color=_colour(graph, maps, packed),
        roughness=_roughness(graph, maps, packed),
        metallic=_number(graph, maps, "metalness", packed and packed[2], 0.0),
    )
    normal = _normal(graph, maps, surface.cell)
    if normal is not None:
        graph.finish(normal=normal)
    width, height = bpy.data.images.load(str(maps["albedo"]), check_existing=True).size
    return material, height / width


def _colour(g: Graph, maps: Mapping[MapRole, Path], packed: bpy.types.bpy_prop_collection | None) -> Socket:
    albedo = maps["albedo"]
    space = "Linear Rec.709" if albedo.suffix.lower() == ".exr" else "sRGB"
    colour = _picture(g, albedo, space)
    occlusion = _number(g, maps, "ao", packed and packed[0], None)
    return colour if occlusion is None else g.blend(1.0, colour, occlusion, "MULTIPLY")


def _roughness(g: Graph, maps: Mapping[MapRole, Path], packed: bpy.types.bpy_prop_collection | None) -> Value:
    if "roughness" not in maps and "gloss" in maps:
        return g.math("SUBTRACT", 1.0, _picture(g, maps["gloss"]))
    return _number(g, maps, "roughness", packed and packed[1], _USUAL_ROUGHNESS)


def _number(
    g: Graph, maps: Mapping[MapRole, Path], role: MapRole, packed: Socket | None, otherwise: float | None
) -> Value | None:
    if role in maps:
        return _picture(g, maps[role])
    return otherwise if packed is None else packed


def _normal(g: Graph, maps: Mapping[MapRole, Path], cell: float) -> Socket | None:
    if "normal" in maps:
        return _bent(g, _picture(g, maps["normal"]))
    if "normal_dx" in maps:
        # DirectX has green point down the picture, Blender and OpenGL up.
        red, green, blue = g.node("SeparateColor", {"Color": _picture(g, maps["normal_dx"])}).outputs
        up = g.math("SUBTRACT", 1.0, green)
        return _bent(g, g.node("CombineColor", {"Red": red, "Green": up, "Blue": blue}).outputs[0])
    if "displacement" in maps:
        return g.bump(_picture(g, maps["displacement"]), _RELIEF * cell)
    return None


def _bent(g: Graph, colour: Socket) -> Socket:
    return g.node("NormalMap", {"Color": colour}).outputs[0]


def _picture(g: Graph, path: Path, space: str = "Non-Color") -> Socket:
    image = None
    try:
        image = bpy.data.images.load(str(path), check_existing=True)
        # A damaged file does not raise: its image has no pixels.
        if 0 in image.size[:] or not image.has_data:
            raise RuntimeError("it has no pixels")
    except RuntimeError as error:
        check_readable(path)
        raise AssetError(
            f"material map {path.name} cannot be read by Blender: {str(error).strip().splitlines()[-1]}",
            remedy="complete the folder from its download, or leave the material out",
            fault="damaged",
        ) from error
    image.colorspace_settings.name = space
    # With straight alpha Blender draws black where alpha is 0.
    image.alpha_mode = "CHANNEL_PACKED"
    return g.node("TexImage", {}, image=image).outputs["Color"]
