"""Learn to dispatch job shops from a constraint solver's completions, end to end.

Pierre Tassel, Martin Gebser, Konstantin Schekotihin, An End-to-End Reinforcement Learning Approach
for Job-Shop Scheduling Problems Based on Constraint Programming, ICAPS 2023, arXiv 2306.05747.

Begin to read in `training`, which has the algorithm's steps; the environment's rules are in
`compiled`, what the network computes in `network`, the native class in `dispatcher`.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
