"""What pairs are made from: the catalogue of objects, environment maps and photographs, with licence and
split.

Hands out `Catalogue` and `Asset`, and what a file must be to be used. Opens photographs,
environment maps and object files, never Blender; imports `core`, `shards` and `imaging`.
"""
