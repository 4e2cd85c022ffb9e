"""Minimum Entropy Coupling with Bottleneck (MEC-B) (arXiv 2410.21666).

- `claim`: The claim of arXiv 2410.21666: the greedy encoder keeps within its bound, and in coding
  games beats uniform quantisation, at no cost of reward.
- `coding_agent`: The coding agent of MEC-B (arXiv 2410.21666) in a run: it sends the messages of
  a Markov coding game, and reads them.
- `coding_env`: The Markov coding game as a gymnasium environment, for agents of one's own.
- `coding_game`: Markov coding games: messages sent through what an agent does (Sokota et al.,
  ICML 2022), with the rate limit of MEC-B (arXiv 2410.21666).
- `coding_problem`: CodingGame: messages that a receiver should read off an agent's actions.
- `compiled_coupling`: Compiled loops of greedy minimum entropy coupling. Logarithms are to base
  2; ties go to the lower index.
- `compiled_encoders`: Compiled loops of encoders that keep to a rate. All logarithms are to base
  2; ties go to the lower index everywhere.
- `entropy_coupling`: Greedy minimum entropy coupling (Kocaoglu, Dimakis, Vishwanath, Hassibi,
  AAAI 2017).
- `instances`: Ready-made laws and games: Zipf and Dirichlet laws, and the grid world of the paper
  on minimum entropy coupling with bottleneck.
- `mec_bottleneck`: Minimum entropy coupling with bottleneck, MEC-B (M. Reza Ebrahimi, Jun Chen,
  Ashish Khisti, NeurIPS 2024, arXiv 2410.21666).
- `problem`: RateLimitedCoupling: two laws, and a code between them that may say only so much.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
