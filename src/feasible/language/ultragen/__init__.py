"""UltraGen: extremely fine-grained controllable generation.

Longfei Yun, Letian Peng, Jingbo Shang, arXiv 2502.12375 (2025).

A text is to meet a long list of attributes at once. A model first learns to rebuild texts from the
attributes that were read off them, then prefers, on sets that no text exhibits, those of its own
texts that meet more.

Begin with `attributes`, `extraction` and `report`: they need neither a model nor torch.

- `reading`: a text with what rules ask of it.
- `attributes`: what a text can have: written down, read back, checked.
- `extraction`: the hard attributes of a text.
- `report`: satisfaction by attribute, kind and position; the list of keywords that cheats.
- `conflicts`: sets that no text can have.
- `pool`: all attributes of a corpus.
- `embedding`: what attributes say, and what they come with.
- `sampler`: sets that are plausible together and say different things.
- `stories`: small texts whose soft attributes are decided by rules.
- `small`: a small model of whole words, and its tokenizer.
- `training`: both phases, and `UltraGen`.
- `fluency`: perplexity and repetition.
- `problem`, `run`, `instances`: the problem, its methods, stories to be written.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
