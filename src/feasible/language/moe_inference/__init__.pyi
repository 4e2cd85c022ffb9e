from .instances import tiny_experts as tiny_experts
from .model import TinySettings as TinySettings, train_tiny as train_tiny
from .plan import (
    Choices as Choices,
    Option as Option,
    Plan as Plan,
    bound_moe as bound_moe,
    greedy_moe as greedy_moe,
    plan_moe as plan_moe,
)
from .problem import CompressedModel as CompressedModel
from .profile import Profile as Profile, profile_moe as profile_moe
from .quantise import Stored as Stored, gptq as gptq, rtn as rtn
from .run import PlanExperts as PlanExperts, memory_for as memory_for
