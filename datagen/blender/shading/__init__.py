"""What procedural objects are made of: material descriptions, palettes, and the shaders that realise them.

`shaders` and `shader_nodes` need bpy, descriptions do not. Imports nothing of `families` or `modelling`.
"""
