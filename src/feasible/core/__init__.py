"""The contract: Problem, Budget, Verdict, Method, Result. It knows no room and not the lab."""

from . import errors as errors
