"""The mathematics between a source and a target: processes, times, samplers, and flows with their guidance.

Hands out `bridges.AnyBridge` (what a config names), `timesteps.AnyTimesteps`, `samplers.AnySampler` and the
`Sampler` that a user can write, `sample_loop.sample`; `equations` and `diffusion_equations` can be held
beside the papers. Works on tensors of any rank, draws no random number of its own, and knows no image,
dataset or network: it imports no other room of training.
"""
