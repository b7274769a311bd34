"""Model weights in a local folder: the manifest of models, checks of files, licences' terms.

Nothing here opens a network connection or a pickle. Imports `core` alone.
"""
