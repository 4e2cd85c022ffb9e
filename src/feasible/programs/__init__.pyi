from .adasketch_newton import AdaSketchNewton as AdaSketchNewton
from .forms import from_casadi as from_casadi, from_torch as from_torch
from .gradient_normalized_smoothness import (
    GNS as GNS,
    GNSLogisticRegression as GNSLogisticRegression,
    LowRank as LowRank,
    RankOne as RankOne,
    SmoothProgram as SmoothProgram,
    gns as gns,
    gns_minimize as gns_minimize,
)
from .instances import hock_schittkowski as hock_schittkowski, s2mpj as s2mpj
from .kkt import Certificate as Certificate, certificate as certificate
from .lipsdp_groupsort import (
    DEQ as DEQ,
    FullSort as FullSort,
    GroupSort as GroupSort,
    Householder as Householder,
    LipschitzBound as LipschitzBound,
    MaxMin as MaxMin,
    PairBounds as PairBounds,
    ResidualMLP as ResidualMLP,
    Slope as Slope,
    lipschitz_bound as lipschitz_bound,
    pair_bounds as pair_bounds,
)
from .lipsdp_groupsort.problem import LipschitzCertificate as LipschitzCertificate
from .minimize import minimize as minimize
from .nlp import NLP as NLP
from .notears_topo.problem import (
    DAGLearning as DAGLearning,
    Graph as Graph,
    NeuralDAGLearning as NeuralDAGLearning,
)
from .notears_topo.run import Topo as Topo, TopoNetworks as TopoNetworks
from .notears_topo.settings import TopoSettings as TopoSettings
from .notears_topo.topo import topo as topo
from .notears_topo.topo_dag import TopoDAG as TopoDAG
from .peers import (
    Casadi as Casadi,
    Ipopt as Ipopt,
    ScipyCOBYQA as ScipyCOBYQA,
    ScipySLSQP as ScipySLSQP,
    ScipyTrustConstr as ScipyTrustConstr,
    Uno as Uno,
)
from .point import Point as Point
from .problem import Program as Program
from .sor_bandit import (
    BinnedTsallisINF as BinnedTsallisINF,
    ChebCB as ChebCB,
    SolverSequence as SolverSequence,
    SystemSequence as SystemSequence,
    TsallisINF as TsallisINF,
    sor as sor,
    ssor as ssor,
    ssor_cg as ssor_cg,
)
from .vr_halpern import (
    AffineFiniteSum as AffineFiniteSum,
    FiniteSum as FiniteSum,
    Inclusion as Inclusion,
    MatrixGame as MatrixGame,
    VRHalpern as VRHalpern,
    project_simplex as project_simplex,
    solve_inclusion as solve_inclusion,
)
