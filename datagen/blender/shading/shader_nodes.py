"""Short names for the shader nodes the materials need. Runs in the Blender child."""

from typing import Any

import bpy

Socket = bpy.types.NodeSocket
Value = Socket | float | tuple[float, ...]


class Graph:
    """A material's node tree that ends in one Principled BSDF; every method adds a node and returns its
    output."""

    def __init__(self, material: bpy.types.Material) -> None:
        material.use_nodes = True
        self.tree = material.node_tree
        self.surface = next(node for node in self.tree.nodes if node.type == "BSDF_PRINCIPLED")

    def node(self, kind: str, inputs: dict[str | int, Value], **properties: Any) -> bpy.types.Node:
        node = self.tree.nodes.new(f"ShaderNode{kind}")
        for name, value in properties.items():
            setattr(node, name, value)
        for key, value in inputs.items():
            self.feed(node.inputs[key], value)
        return node

    def feed(self, socket: Socket, value: Value) -> None:
        """Link an output to an input, or set its value; a colour of three numbers gets its alpha."""
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        elif isinstance(value, tuple) and len(value) == 3 and socket.type == "RGBA":
            socket.default_value = (*value, 1.0)
        else:
            socket.default_value = value

    def finish(self, **inputs: Value) -> None:
        """Feed the surface; names are the socket's in lower case, as in base_color."""
        for name, value in inputs.items():
            words = name.replace("ior", "IOR").split("_")
            self.feed(
                self.surface.inputs[" ".join(w if w.isupper() else w.capitalize() for w in words)], value
            )

    def attribute(self, name: str) -> Socket:
        return self.node("Attribute", {}, attribute_name=name).outputs["Vector"]

    def math(self, operation: str, *inputs: Value) -> Socket:
        return self.node("Math", dict(enumerate(inputs)), operation=operation).outputs[0]

    def affine(
        self, vector: Value, scale: tuple[float, float, float], offset: tuple[float, float, float]
    ) -> Socket:
        """vector * scale + offset."""
        return self.node("VectorMath", {0: vector, 1: scale, 2: offset}, operation="MULTIPLY_ADD").outputs[0]

    def axes(self, vector: Value) -> tuple[Socket, Socket, Socket]:
        outputs = self.node("SeparateXYZ", {0: vector}).outputs
        return outputs[0], outputs[1], outputs[2]

    def vector(self, x: Value, y: Value, z: Value) -> Socket:
        return self.node("CombineXYZ", {0: x, 1: y, 2: z}).outputs[0]

    def picture(self, image: bpy.types.Image, vector: Value, *, repeats: bool) -> Socket:
        """Colour of an image at (u, v) of `vector`, each picture one wide and one high."""
        extension = "REPEAT" if repeats else "EXTEND"
        return self.node("TexImage", {"Vector": vector}, image=image, extension=extension).outputs["Color"]

    def pointiness(self) -> Socket:
        """About 0.5 on flat surfaces, more on convex edges, less in hollows; from the mesh's vertices, so it
        needs no rays."""
        return self.node("NewGeometry", {}).outputs["Pointiness"]

    def also(self, factor: Value, kind: str, colour: Value) -> None:
        """Mix the surface so far with a BSDF of this kind in the share `factor`."""
        output = self.tree.get_output_node("CYCLES")
        below = output.inputs["Surface"].links[0].from_socket
        other = self.node(kind, {"Color": colour}).outputs[0]
        mixed = self.node("MixShader", {0: factor, 1: below, 2: other}).outputs[0]
        self.tree.links.new(mixed, output.inputs["Surface"])

    def noise(self, vector: Value, scale: float, detail: float = 2.0, distortion: float = 0.0) -> Socket:
        """Fractal noise in about [0.2, 0.8], mean 0.5."""
        inputs = {"Vector": vector, "Scale": scale, "Detail": detail, "Distortion": distortion}
        return self.node("TexNoise", inputs).outputs[0]

    def noise_vector(self, vector: Value, scale: float) -> Socket:
        """Three independent noises, about [0.2, 0.8] each."""
        return self.node("TexNoise", {"Vector": vector, "Scale": scale, "Detail": 2.0}).outputs["Color"]

    def cells(self, vector: Value, scale: float, feature: str = "F1") -> bpy.types.Node:
        """Voronoi cells: outputs Distance and, for F1, Color (one per cell)."""
        return self.node("TexVoronoi", {"Vector": vector, "Scale": scale}, feature=feature)

    def step(self, value: Value, low: float, high: float) -> Socket:
        """Smooth step from 0 at `low` to 1 at `high`; low > high falls instead."""
        swap = low > high
        inputs = {0: value, 1: min(low, high), 2: max(low, high), 3: float(swap), 4: float(not swap)}
        return self.node("MapRange", inputs, interpolation_type="SMOOTHSTEP").outputs[0]

    def blend(self, factor: Value, a: Value, b: Value, mode: str = "MIX") -> Socket:
        """Colour a where the factor is 0, b (blended by `mode`) where it is 1."""
        node = self.node("Mix", {}, data_type="RGBA", blend_type=mode)
        for socket, value in ((node.inputs[0], factor), (node.inputs[6], a), (node.inputs[7], b)):
            self.feed(socket, value)
        return node.outputs[2]

    def lerp(self, factor: Value, a: float, b: float) -> Socket:
        return self.math("MULTIPLY_ADD", factor, b - a, a)

    def bump(self, height: Value, distance: float, below: Socket | None = None) -> Socket:
        """Normal of a relief of `distance` units per unit of height, on top of another relief."""
        inputs: dict[str | int, Value] = {"Height": height, "Distance": distance, "Strength": 1.0}
        if below is not None:
            inputs["Normal"] = below
        return self.node("Bump", inputs).outputs[0]
