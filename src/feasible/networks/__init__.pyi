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
from .federated import FederatedProblem as FederatedProblem
from .fzoos import (
    FederatedDifferences as FederatedDifferences,
    FederatedResult as FederatedResult,
    FourierFeatures as FourierFeatures,
    FZooS as FZooS,
    FZooSClient as FZooSClient,
    GradientSurrogate as GradientSurrogate,
    federated_attack as federated_attack,
    federated_metric as federated_metric,
    federated_quadratic as federated_quadratic,
)
from .graph import Disconnected as Disconnected, Network as Network
from .live import recover_log as recover_log
from .messages import (
    ClientFailed as ClientFailed,
    ClientProcess as ClientProcess,
    Message as Message,
)
from .objectives import (
    Callables as Callables,
    LeastSquares as LeastSquares,
    LocalObjectives as LocalObjectives,
    Logistic as Logistic,
    NodeFailed as NodeFailed,
    NotConverged as NotConverged,
    Quadratics as Quadratics,
)
from .partitions import (
    split_at_random as split_at_random,
    split_by_label as split_by_label,
    split_dirichlet as split_dirichlet,
    unlikeness as unlikeness,
)
from .parts import NodeLost as NodeLost
from .pictures import error_graph as error_graph, message_curves as message_curves
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
