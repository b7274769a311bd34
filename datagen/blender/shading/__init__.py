"""The shaders that realise descriptions of `materials`: a Cycles node tree for each kind.

All of it needs bpy. Imports `materials` alone, nothing of `families` or `modelling`.
"""
