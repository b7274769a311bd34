"""A smooth unit ball as a Wavefront OBJ with one material."""

import math
from pathlib import Path


def write_ball(path: Path, material: str, *, rings: int = 32) -> Path:
    """`material` holds the lines of the .mtl file, such as "Kd 0.8 0.8 0.8"."""
    sides = 2 * rings
    lines = [f"mtllib {path.stem}.mtl", "usemtl only", "s 1"]
    for ring in range(rings + 1):
        theta = math.pi * ring / rings
        for side in range(sides):
            phi = math.tau * side / sides
            x, y = math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi)
            # The format's Y is up.
            lines.append(f"v {x:.6f} {math.cos(theta):.6f} {-y:.6f}")
    for ring in range(rings):
        for side in range(sides):
            here, beside = ring * sides + side + 1, ring * sides + (side + 1) % sides + 1
            lines.append(f"f {here} {here + sides} {beside + sides} {beside}")
    path.write_text("\n".join(lines) + "\n")
    path.with_suffix(".mtl").write_text(f"newmtl only\n{material}\n")
    return path
