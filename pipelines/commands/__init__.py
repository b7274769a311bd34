"""The commands, a file per group: their options and what they print.

`pairbridge.pipelines.cli` lists them under their headings. A command imports what it needs when it runs, so
that --help needs neither torch nor ray; the work itself is in the rooms below.
"""
