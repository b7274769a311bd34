"""The embedded catalogue: families with their splits, licences of environment maps and photographs. Data
only."""
