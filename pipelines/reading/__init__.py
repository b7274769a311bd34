"""Configuration files: read with the line of every value, changed by --set, checked, explained.

Hands out `find_config` and `load_config` (config_files.py), and a model's keys for people (config_keys.py).
Knows no model of its own, and imports no other room of pipelines.
"""
