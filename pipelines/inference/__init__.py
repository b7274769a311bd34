"""Trained models at work: translate, sample, guide, distil, encode, publish, and the browser app.

Hands out `open_model` and `translate_image` (translation.py), and a function for each command's work. Imports
neither ray nor runs and sweeps, which build on it.
"""
