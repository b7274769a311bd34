"""The networks of a bridge: denoisers, autoencoders, and the tensors of their conditioning.

Hands out `denoisers.Denoiser` and `autoencoders.Autoencoder` with their configs, `conditions`, and
`local_folders`, which opens published weights without a download and without foreign code.
Of data it knows the specs of conditions; it must not import the engine or anything above it.
"""
