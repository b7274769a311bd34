"""A finished dataset in the layouts of others: plain folders, Hugging Face parquet, megatron-energon; and
merging.

Hands out `export_dataset` and `merge_datasets`. The highest room: no other one imports it.
"""
