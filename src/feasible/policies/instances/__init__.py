"""Ready-made environments of gymnasium as problems."""
