"""Bad values of what the public functions, the runs and the command line take end in a result, or
in an error of ours that names an argument.
"""

from __future__ import annotations

import inspect
import os
import random
import re
from collections.abc import Iterable

import pytest
from bad_values import BAD, outcome
from calls import CALLS

from feasible import (
    bilevel,
    blackbox,
    language,
    networks,
    operations,
    physics,
    policies,
    programs,
    training,
    transport,
)
from feasible.core.annotations import checked
from feasible.core.problem import Method

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SAMPLED = 3000
ROOMS = (
    bilevel,
    blackbox,
    language,
    networks,
    operations,
    physics,
    policies,
    programs,
    training,
    transport,
)
ELSEWHERE = {
    "CCBO": ("bounds",),
    "CMORL": ("reference",),
    "Control": ("environment",),
    "LipschitzCertificate": ("W_1", "weights"),
    "LowRank": ("hess",),
    "PrivateTable": ("table", "column"),
    "Categorical": ("choices",),
    "Integer": ("bounds",),
    "RankOne": ("hess",),
    "Real": ("bounds",),
    "Variable": ("bounds",),
    "ResidualMLP": ("V_1", "W_2"),
    "lipschitz_bound": ("net", "W_1", "b_1", "weights"),
    "pair_bounds": ("net", "W_1", "b_1", "weights"),
    "reproduce": ("paper",),
}
"""What the error calls an argument that goes by another name there."""


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """Arguments and labels of bad values by call, in a folder for the files that calls write."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("fuzzed"))
    cases = [(name, a, label) for name in CALLS for a in CALLS[name]()[1] for label in BAD]
    if os.environ.get("FEASIBLE_TESTS") != "full":
        cases = random.Random(22).sample(cases, SAMPLED)
    yield {name: [case[1:] for case in cases if case[0] == name] for name in CALLS}
    os.chdir(before)


def named(said: str, arguments: Iterable[str]) -> bool:
    """True if an error names one of these arguments; of several things it may name one."""
    return any(re.search(rf"\b{re.escape(a.removesuffix('s'))}s?\b", said) for a in arguments)


@pytest.mark.parametrize("name", CALLS)
def test_a_bad_argument_ends_in_a_result_or_in_an_error_that_names_it(name, chosen):
    function, arguments = CALLS[name]()
    function(**arguments)
    for argument, label in chosen[name]:
        function, given = CALLS[name]()
        given[argument] = BAD[label]
        said = outcome(lambda function=function, given=given: function(**given))
        assert not said or named(said, (*arguments, *ELSEWHERE.get(name, ()))), (argument, label)


# -- what is tried ---------------------------------------------------------------------------------

RESULTS = {
    "Action",
    "AffineTargets",
    "CutPolicy",
    "Diagnosis",
    "Stuck",
    "FixedTargets",
    "LookAhead",
    "Myopic",
    "NetworkTargets",
    "NoSolution",
    "Rollout",
    "SDDPFit",
    "SolverFailed",
    "SolvesFailed",
    "StageInfeasible",
    "TSDDRFit",
    "Unbounded",
    "APARLResult",
    "Asked",
    "PairLog",
    "GradientAgent",
    "History",
    "Preferred",
    "AllDiverged",
    "AskTell",
    "BackendFailed",
    "BackendRefused",
    "BackendWarning",
    "Completion",
    "ExecutionError",
    "SandboxError",
    "SourceError",
    "Plan",
    "Profile",
    "Judged",
    "DisCOSettings",
    "LossOutput",
    "RLVRSettings",
    "PromptTooLong",
    "Responses",
    "ScoreWarning",
    "Scores",
    "TokenLogps",
    "AutoLRSSettings",
    "Barycenter",
    "Die",
    "DiePolicy",
    "Flow",
    "Choice",
    "EliminationResult",
    "ModelViolation",
    "BoundBroken",
    "BottleneckSettings",
    "Calibration",
    "Certificate",
    "ClientFailed",
    "ClientProcess",
    "ClusteringSettings",
    "ControlFront",
    "Descent",
    "InvalidShape",
    "ReducedBasis",
    "TaylorRates",
    "CodeSettings",
    "Copies",
    "Comparison",
    "Coupling",
    "Couplings",
    "DADAOResult",
    "DADAOSettings",
    "DegenerateScheduleWarning",
    "Designs",
    "Disconnected",
    "DoGSettings",
    "EntropyCoupling",
    "EventLog",
    "EstimateWarning",
    "FZooSClient",
    "FederatedResult",
    "FourierFeatures",
    "GradientSurrogate",
    "GossipRates",
    "Graph",
    "Groups",
    "LearntReward",
    "LipschitzBound",
    "PairBounds",
    "HESSOSettings",
    "LVHBASettings",
    "LagrangianSettings",
    "PenaltySettings",
    "UpperPoint",
    "HorizonWarning",
    "LionKSettings",
    "LocalObjectives",
    "MechanicSettings",
    "Message",
    "OBSSettings",
    "NodeFailed",
    "NodeLost",
    "NotConverged",
    "ObservedFront",
    "PFN",
    "PFNModel",
    "Decisions",
    "EnvironmentFailed",
    "MDPOSettings",
    "MirrorDescent",
    "Moves",
    "OffPolicySettings",
    "NetworkPolicy",
    "NotANumber",
    "PolicyFront",
    "ReplayWarning",
    "Spaces",
    "TablePolicy",
    "Phi",
    "Point",
    "Potentials",
    "Proposals",
    "Proposed",
    "Routing",
    "SinkhornNewtonSettings",
    "SparseOT",
    "SparseOTBatch",
    "SparseOTSettings",
    "SparsePlan",
    "SurrogateSettings",
    "TooSlow",
    "TopoSettings",
    "Trained",
    "UnbalancedCoupling",
    "ZIG",
}
"""What functions return, warnings, what a method's own settings are tried with, and what needs a
trained network."""


@pytest.mark.parametrize(
    "room",
    ROOMS,
    ids=lambda r: r.__name__,
)
def test_every_public_callable_is_tried(room):
    tried = {re.split(r"[ .]", name)[0] for name in CALLS}
    for name in set(room.__all__) - tried - RESULTS:
        found = getattr(room, name)
        assert not callable(found) or (inspect.isclass(found) and issubclass(found, Method)), name


def test_an_argument_that_is_checked_twice_is_named_once():
    @checked
    def inner(n: int) -> int:
        return n

    @checked
    def outer(n: int) -> int:
        return inner(n)

    assert outcome(lambda: outer("a")) == "n='a': expected a whole number"  # type: ignore[arg-type]
