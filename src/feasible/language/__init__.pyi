from .backend import (
    Backend as Backend,
    BackendFailed as BackendFailed,
    BackendRefused as BackendRefused,
    Completion as Completion,
    Recorded as Recorded,
    scripted as scripted,
)
from .sandbox import Sandbox as Sandbox, SandboxError as SandboxError
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
