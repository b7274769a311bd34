"""A finished dataset in the layouts of others: plain folders, Hugging Face parquet, megatron-energon."""
