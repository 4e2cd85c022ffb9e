from .backend import (
    Backend as Backend,
    BackendFailed as BackendFailed,
    BackendRefused as BackendRefused,
    Completion as Completion,
    Recorded as Recorded,
    scripted as scripted,
)
from .cgpo import (
    CODPO as CODPO,
    CRPG as CRPG,
    CRRAFT as CRRAFT,
    ResponseTable as ResponseTable,
    calibrated as calibrated,
    codpo_loss as codpo_loss,
    crpg_loss as crpg_loss,
    crpg_weights as crpg_weights,
    crraft_loss as crraft_loss,
)
from .disco import (
    DAPO as DAPO,
    GRPO as GRPO,
    GRPOER as GRPOER,
    RLOO as RLOO,
    RLVR as RLVR,
    TRPA as TRPA,
    DisCO as DisCO,
    DisCOB as DisCOB,
    DisCOLoss as DisCOLoss,
    DisCOSettings as DisCOSettings,
    DrGRPO as DrGRPO,
    LossOutput as LossOutput,
    RLVRSettings as RLVRSettings,
    RLVRTrainer as RLVRTrainer,
    dapo_loss as dapo_loss,
    disco_loss as disco_loss,
    dr_grpo_loss as dr_grpo_loss,
    group_advantages as group_advantages,
    grpo_loss as grpo_loss,
    leave_one_out as leave_one_out,
    overlong_penalty as overlong_penalty,
    rloo_loss as rloo_loss,
    trpa_loss as trpa_loss,
)
from .moe_inference import (
    Choices as Choices,
    CompressedModel as CompressedModel,
    Option as Option,
    Plan as Plan,
    Profile as Profile,
    TinySettings as TinySettings,
    bound_moe as bound_moe,
    gptq as gptq,
    greedy_moe as greedy_moe,
    plan_moe as plan_moe,
    profile_moe as profile_moe,
    rtn as rtn,
    train_tiny as train_tiny,
)
from .policy import (
    PromptTooLong as PromptTooLong,
    Responses as Responses,
    TokenLogps as TokenLogps,
    generate as generate,
    logp as logp,
    written as written,
)
from .preference import dpo_loss as dpo_loss, dpo_margin as dpo_margin
from .problem import Judged as Judged, LanguageProblem as LanguageProblem, Scores as Scores
from .sandbox import Sandbox as Sandbox, SandboxError as SandboxError
from .scoring import ScoreWarning as ScoreWarning
from .small import (
    CharacterSettings as CharacterSettings,
    character_model as character_model,
    character_tokenizer as character_tokenizer,
    train_characters as train_characters,
)
from .trace import (
    OPRO as OPRO,
    ExecutionError as ExecutionError,
    Module as Module,
    NumericTrace as NumericTrace,
    OptoPrime as OptoPrime,
    PromptSettings as PromptSettings,
    TextGrad as TextGrad,
    Variable as Variable,
    Workflow as Workflow,
    bundle as bundle,
    gradient as gradient,
    model as model,
    node as node,
    subgraph as subgraph,
)
from .ultragen import (
    AttributePool as AttributePool,
    AttributeSampler as AttributeSampler,
    CorrelationEncoder as CorrelationEncoder,
    csr as csr,
    extract_hard as extract_hard,
    resolve_conflicts as resolve_conflicts,
)
