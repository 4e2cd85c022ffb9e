"""Ready-made bilevel programs."""
