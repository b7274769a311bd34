"""What users run: the command line (`cli`), and in Python what a command does in one call (`library`).

The rooms below hold the work; `commands` are their thin front. Nothing of `datagen` or `training` imports
this.
"""
