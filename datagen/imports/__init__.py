"""Data sets of others, indexed where they lie: what `pairbridge import` does.

`config` says what to import, a layout (`folders`, `rord`, `hypersim`, `vkitti`, `replica`, `foreign_tars`)
finds its pairs, `indexing` checks them and writes the import's folder, `checking` proves it later. Reading
is in `pairbridge.datagen.imports.imported`. Imports `dataset` and all below; never `exports`.
"""
