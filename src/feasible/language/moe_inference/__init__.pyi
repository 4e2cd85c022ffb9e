from .cache import (
    CacheReport as CacheReport,
    CacheTimes as CacheTimes,
    simulate_cache as simulate_cache,
)
from .compress import apply_plan as apply_plan, compare as compare
from .folder import (
    FolderReport as FolderReport,
    compress_folder as compress_folder,
    load_moe as load_moe,
    train_folder as train_folder,
)
from .instances import tiny_experts as tiny_experts
from .layout import blocks as blocks
from .machine import Machine as Machine
from .merge import (
    align as align,
    cluster_experts as cluster_experts,
    group_counts as group_counts,
    group_experts as group_experts,
    merge_group as merge_group,
    similarity as similarity,
)
from .model import TinySettings as TinySettings, train_tiny as train_tiny
from .offload import (
    ExpertCache as ExpertCache,
    offloaded as offloaded,
    predict_experts as predict_experts,
    write_experts as write_experts,
)
from .placement import (
    Placement as Placement,
    crossing as crossing,
    place_by_affinity as place_by_affinity,
    place_experts as place_experts,
    transitions as transitions,
)
from .plan import (
    Choices as Choices,
    Merged as Merged,
    Option as Option,
    Plan as Plan,
    bound_moe as bound_moe,
    greedy_moe as greedy_moe,
    plan_moe as plan_moe,
)
from .problem import CompressedModel as CompressedModel
from .profile import Profile as Profile, profile_moe as profile_moe
from .prune import Pruned as Pruned, prune_layer as prune_layer, prune_moe as prune_moe
from .quantise import Stored as Stored, gptq as gptq, rtn as rtn, searched as searched
from .recipe import Recipe as Recipe
from .recover import distil as distil, low_rank as low_rank, ridge_down as ridge_down
from .routing import (
    fewer_experts as fewer_experts,
    most_important as most_important,
    skip as skip,
    skip_random as skip_random,
    skip_threshold as skip_threshold,
    token_importance as token_importance,
    top_p as top_p,
)
from .run import PlanExperts as PlanExperts, memory_for as memory_for
from .shrink import (
    PMQ as PMQ,
    MergeExperts as MergeExperts,
    PruneExperts as PruneExperts,
    SkipExperts as SkipExperts,
)
