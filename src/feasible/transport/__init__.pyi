from .mec_bottleneck.coding_agent import CodingAgent as CodingAgent
from .mec_bottleneck.coding_env import MarkovCodingGame as MarkovCodingGame
from .mec_bottleneck.coding_game import Code as Code, CodeSettings as CodeSettings, play as play
from .mec_bottleneck.coding_problem import CodingGame as CodingGame
from .mec_bottleneck.entropy_coupling import (
    EntropyCoupling as EntropyCoupling,
    entropy_bits as entropy_bits,
    meet as meet,
    min_entropy_coupling as min_entropy_coupling,
)
from .mec_bottleneck.instances import dirichlet_law as dirichlet_law, zipf_law as zipf_law
from .mec_bottleneck.mec_bottleneck import (
    BottleneckSettings as BottleneckSettings,
    MECBottleneck as MECBottleneck,
    entropy_bottleneck_encoder as entropy_bottleneck_encoder,
    mec_bottleneck as mec_bottleneck,
)
from .mec_bottleneck.problem import RateLimitedCoupling as RateLimitedCoupling
from .mec_bottleneck.world import (
    World as World,
    grid_world as grid_world,
    soft_value_iteration as soft_value_iteration,
)
from .plan import SparsePlan as SparsePlan
from .sinkhorn_newton_sparse import instances as instances, peers as peers
from .sinkhorn_newton_sparse.barycenter import (
    Barycenter as Barycenter,
    sinkhorn_newton_barycenter as sinkhorn_newton_barycenter,
)
from .sinkhorn_newton_sparse.coupling import Coupling as Coupling, Couplings as Couplings
from .sinkhorn_newton_sparse.point_clouds import (
    sinkhorn_newton_points as sinkhorn_newton_points,
    wasserstein_1 as wasserstein_1,
    wasserstein_2 as wasserstein_2,
)
from .sinkhorn_newton_sparse.problem import (
    EntropicTransport as EntropicTransport,
    Potentials as Potentials,
)
from .sinkhorn_newton_sparse.settings import SinkhornNewtonSettings as SinkhornNewtonSettings
from .sinkhorn_newton_sparse.sinkhorn_newton import (
    SinkhornNewton as SinkhornNewton,
    sinkhorn_newton as sinkhorn_newton,
)
from .sinkhorn_newton_sparse.unbalanced import (
    UnbalancedCoupling as UnbalancedCoupling,
    sinkhorn_newton_unbalanced as sinkhorn_newton_unbalanced,
)
from .sparse_ot.problem import SparseTransport as SparseTransport
from .sparse_ot.result import SparseOT as SparseOT, SparseOTBatch as SparseOTBatch
from .sparse_ot.router import (
    Routing as Routing,
    SinkhornRouter as SinkhornRouter,
    SparseRouter as SparseRouter,
    TopKRouter as TopKRouter,
)
from .sparse_ot.settings import SparseOTSettings as SparseOTSettings
from .sparse_ot.sparse_ot import SparseOTMethod as SparseOTMethod, sparse_ot as sparse_ot
from .transductive_clustering.episodes import fewshot_episodes as fewshot_episodes
from .transductive_clustering.iterations import ClusteringSettings as ClusteringSettings
from .transductive_clustering.problem import FewShot as FewShot
from .transductive_clustering.transductive import (
    FewShotClustering as FewShotClustering,
    TransductiveClustering as TransductiveClustering,
)
