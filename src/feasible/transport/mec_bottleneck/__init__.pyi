from .coding_agent import CodingAgent as CodingAgent
from .coding_env import MarkovCodingGame as MarkovCodingGame
from .coding_game import Code as Code, CodeSettings as CodeSettings, play as play
from .coding_problem import CodingGame as CodingGame
from .entropy_coupling import (
    EntropyCoupling as EntropyCoupling,
    entropy_bits as entropy_bits,
    meet as meet,
    min_entropy_coupling as min_entropy_coupling,
)
from .instances import dirichlet_law as dirichlet_law, zipf_law as zipf_law
from .mec_bottleneck import (
    BottleneckSettings as BottleneckSettings,
    MECBottleneck as MECBottleneck,
    entropy_bottleneck_encoder as entropy_bottleneck_encoder,
    mec_bottleneck as mec_bottleneck,
)
from .problem import RateLimitedCoupling as RateLimitedCoupling
from .world import (
    World as World,
    grid_world as grid_world,
    soft_value_iteration as soft_value_iteration,
)
