"""Other libraries' solvers of job shops; one file a library."""
