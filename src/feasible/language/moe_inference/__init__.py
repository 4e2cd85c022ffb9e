"""A survey on inference optimization techniques for mixture of experts models: bits by a plan.

Jiacheng Liu et al., arXiv 2412.14219; of the methods that it surveys, the allotment of bits to
experts (MC-MoE, Li et al., arXiv 2410.06270), as one plan under a limit of memory.

All experts of a layer lie in memory and few are used by a token; so they are kept in few bits, and
which ones in how few is an integer program on what calibration text tells of each.

Begin with `plan`, then `profile` and `problem`.

- `quantise`: rounding in groups, signs, GPTQ; packed integers and their bytes.
- `plan`: the integer program under memory, fast memory and latency; the greedy; the linear bound.
- `layout`: where experts lie in Mixtral, OLMoE, Qwen3-MoE and Qwen2-MoE.
- `model`: a small mixture of experts, trained here.
- `profile`: what calibration tells of every expert.
- `problem`: the problem, whose judge counts the bytes in the file that it wrote.
- `prune`, `merge`, `recover`: fewer experts, smaller matrices, and what is won back.
- `routing`: skipping, top-p, the importance of tokens, a batch's budget of experts.
- `cache`, `placement`: experts in slow memory and on several devices, on a trace.
- `run`: the methods of runs.
- `instances`: small models.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
