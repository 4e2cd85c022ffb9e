"""`python -m feasible`: the command line."""

from .cli import main

main()
