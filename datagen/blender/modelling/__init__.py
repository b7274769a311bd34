"""How procedural objects are modelled: NumPy meshes, solids and curves, and parts with materials.

`realise` alone needs bpy. Below `families`; imports `materials` and `shading`.
"""
