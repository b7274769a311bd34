"""What a dataset will take: measured on a few of its groups, reckoned up for all of them."""
