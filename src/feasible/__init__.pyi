from . import (
    bilevel as bilevel,
    blackbox as blackbox,
    language as language,
    networks as networks,
    operations as operations,
    physics as physics,
    policies as policies,
    programs as programs,
    training as training,
    transport as transport,
)
from .api import race as race, reproduce as reproduce, solve as solve
from .core import errors as errors
from .core.budget import Budget as Budget, Resource as Resource, spend as spend
from .core.problem import Method as Method, Problem as Problem
from .core.result import Result as Result
from .core.run import offer as offer
from .core.verdict import Verdict as Verdict
