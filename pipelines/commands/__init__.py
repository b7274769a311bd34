"""The commands, a file per group; each `register`s itself with the app in `pairbridge.pipelines.cli`."""
