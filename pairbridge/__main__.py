"""`python -m pairbridge` is the `pairbridge` command."""

from pairbridge.pipelines.cli import main

if __name__ == "__main__":
    main()
