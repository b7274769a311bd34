"""What the formats of objects hold before Blender reads them: OBJ, PLY, STL and glTF, in bytes and arrays.

Hands out, for each format, the files that Blender shall read instead, and refusals by their cause. It imports
`datagen/core` alone.
"""
