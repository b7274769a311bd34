"""What procedural objects are made of, as descriptions: kinds of material, palettes, patterns and pictures.

Pure: no bpy. Imports nothing of `shading`, `modelling` or `families`.
"""
