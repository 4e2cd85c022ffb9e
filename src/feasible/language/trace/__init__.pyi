from .bundle import (
    Bundle as Bundle,
    CodeNotAllowed as CodeNotAllowed,
    Module as Module,
    bundle as bundle,
    model as model,
)
from .nodes import (
    ExceptionNode as ExceptionNode,
    ExecutionError as ExecutionError,
    HiddenDependency as HiddenDependency,
    MessageNode as MessageNode,
    Node as Node,
    ParameterNode as ParameterNode,
    node as node,
    reset_names as reset_names,
    stop_tracing as stop_tracing,
)
from .numeric import NumericSettings as NumericSettings, NumericTrace as NumericTrace
from .operators import cos as cos, exp as exp, log as log, sin as sin, sqrt as sqrt, tanh as tanh
from .optimizers import (
    OPRO as OPRO,
    NoFeedbackWarning as NoFeedbackWarning,
    OptoPrime as OptoPrime,
    TextGrad as TextGrad,
)
from .propagate import (
    Gradient as Gradient,
    Subgraph as Subgraph,
    Sum as Sum,
    gradient as gradient,
    subgraph as subgraph,
)
from .replies import ExtractionError as ExtractionError, Reply as Reply, parse as parse
from .rules import rules as rules
from .run import OPRORun as OPRORun, OptoPrimeRun as OptoPrimeRun, TextGradRun as TextGradRun
from .settings import PromptSettings as PromptSettings
from .sweeps import AlreadyBackward as AlreadyBackward, FeedbackConflict as FeedbackConflict
from .workflow import Execution as Execution, Variable as Variable, Workflow as Workflow
