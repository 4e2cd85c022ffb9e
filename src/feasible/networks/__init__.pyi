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
