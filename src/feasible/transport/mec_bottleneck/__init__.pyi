from .coding_agent import CodingAgent as CodingAgent
from .coding_env import MarkovCodingGame as MarkovCodingGame
from .coding_game import (
    Code as Code,
)
from .coding_game import (
    World as World,
)
from .coding_game import (
    grid_world as grid_world,
)
from .coding_game import (
    play as play,
)
from .coding_game import (
    soft_value_iteration as soft_value_iteration,
)
from .coding_problem import CodingGame as CodingGame
from .entropy_coupling import (
    EntropyCoupling as EntropyCoupling,
)
from .entropy_coupling import (
    entropy_bits as entropy_bits,
)
from .entropy_coupling import (
    meet as meet,
)
from .entropy_coupling import (
    min_entropy_coupling as min_entropy_coupling,
)
from .instances import dirichlet_law as dirichlet_law
from .instances import zipf_law as zipf_law
from .mec_bottleneck import (
    MECBottleneck as MECBottleneck,
)
from .mec_bottleneck import (
    entropy_bottleneck_encoder as entropy_bottleneck_encoder,
)
from .mec_bottleneck import (
    mec_bottleneck as mec_bottleneck,
)
from .problem import RateLimitedCoupling as RateLimitedCoupling
