from .conditions import Conditions as Conditions
from .dadao import (
    DADAO as DADAO,
    DADAOResult as DADAOResult,
    DADAOSettings as DADAOSettings,
    GossipRates as GossipRates,
    TooSlow as TooSlow,
    dadao as dadao,
    gossip_rates as gossip_rates,
    regression as regression,
)
from .events import EventLog as EventLog
from .graph import Disconnected as Disconnected, Network as Network
from .objectives import (
    Callables as Callables,
    LeastSquares as LeastSquares,
    LocalObjectives as LocalObjectives,
    Logistic as Logistic,
    NodeFailed as NodeFailed,
    NotConverged as NotConverged,
    Quadratics as Quadratics,
)
from .problem import Copies as Copies, NetworkProblem as NetworkProblem
from .ready import read_edges as read_edges, ready_graph as ready_graph
from .sa_srrw import (
    DepthFirstTour as DepthFirstTour,
    IndependentSampling as IndependentSampling,
    NodeLosses as NodeLosses,
    NonBacktrackingWalk as NonBacktrackingWalk,
    SelfRepellentWalk as SelfRepellentWalk,
    TokenProblem as TokenProblem,
    WalkSampler as WalkSampler,
    asymptotic_covariance as asymptotic_covariance,
    occupation_covariance as occupation_covariance,
    token_sgd as token_sgd,
)
