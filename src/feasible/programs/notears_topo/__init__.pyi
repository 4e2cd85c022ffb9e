from .graphs import (
    Comparison as Comparison,
    compare as compare,
    is_acyclic as is_acyclic,
    topological_order as topological_order,
)
from .problem import (
    DAGLearning as DAGLearning,
    Graph as Graph,
    NeuralDAGLearning as NeuralDAGLearning,
)
from .run import (
    EqualVariance as EqualVariance,
    SortAndRegress as SortAndRegress,
    Topo as Topo,
    TopoNetworks as TopoNetworks,
)
from .settings import SearchSettings as SearchSettings, TopoSettings as TopoSettings
from .simulate import (
    simulate_dag as simulate_dag,
    simulate_linear as simulate_linear,
    simulate_logistic as simulate_logistic,
    simulate_mlp as simulate_mlp,
)
from .topo import topo as topo
from .topo_dag import TopoDAG as TopoDAG
