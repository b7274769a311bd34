"""Where assets come from: files found and looked at, what of them is one and the same, and the split of each.

Hands out `build_catalogue`, `leaks` and the checks of folders; imports `core`, `shards`, `imaging` and
`assets`, which reads the files and says what an asset is.
"""
