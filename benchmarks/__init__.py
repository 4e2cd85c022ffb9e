"""What `feasible` must reach, measured: every figure is a ratio (or a share) of things timed in the
same run, in turns.
"""
