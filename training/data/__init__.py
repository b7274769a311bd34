"""From datasets on disk to batches of tensors, in an order that is a function of seed, weights and sizes.

Hands out `mix_config.MixConfig`, `loader.MixedLoader` (batches of a mix, resumable by one integer),
`pairs.PairSource` (one recipe and split, map-style), `torch_datasets.open_dataset` (for a trainer of one's
own), and what a pair can hold: `targets`, `condition_specs`, `framing`. The arithmetic of draws (`schedule`,
`buckets`, `draws`) needs no torch. Must not import networks or anything above them.
"""
