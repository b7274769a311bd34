"""Arithmetic on images in NumPy and OpenCV: view transform, compositing, masks, degradations, quality gates.

Pure functions of arrays and seeds: no files, no catalogue, no Blender. Imports `core` and `shards`.
"""
