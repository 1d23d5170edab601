"""What the benchmarks share: simulated fields, the classical tools at their best, and scores."""
