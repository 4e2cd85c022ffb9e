"""Other libraries' solvers of bilevel programs."""
