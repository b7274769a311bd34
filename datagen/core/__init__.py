"""What every room needs and no room owns: errors, seeds and random draws, frozen configs, digests, atomic
files.

Imports no other room, and no image or array library beyond NumPy.
"""
