from .named import (
    ENGINEERING as ENGINEERING,
)
from .named import (
    FEASIBLE_ENGINEERING as FEASIBLE_ENGINEERING,
)
from .named import (
    PROBLEMS as PROBLEMS,
)
from .named import (
    ackley as ackley,
)
from .named import (
    ackley_constrained as ackley_constrained,
)
from .named import (
    cantilever_beam as cantilever_beam,
)
from .named import (
    car_side_impact as car_side_impact,
)
from .named import (
    compression_spring as compression_spring,
)
from .named import (
    electrospray as electrospray,
)
from .named import (
    get as get,
)
from .named import (
    gkxwc1 as gkxwc1,
)
from .named import (
    gkxwc2 as gkxwc2,
)
from .named import (
    grand_canyon as grand_canyon,
)
from .named import (
    griewank as griewank,
)
from .named import (
    heat_exchanger as heat_exchanger,
)
from .named import (
    jlh1 as jlh1,
)
from .named import (
    jlh2 as jlh2,
)
from .named import (
    keane_bump as keane_bump,
)
from .named import (
    pressure_vessel as pressure_vessel,
)
from .named import (
    rastrigin as rastrigin,
)
from .named import (
    rastrigin_cbo as rastrigin_cbo,
)
from .named import (
    reinforced_concrete_beam as reinforced_concrete_beam,
)
from .named import (
    rosenbrock as rosenbrock,
)
from .named import (
    speed_reducer as speed_reducer,
)
from .named import (
    sphere as sphere,
)
from .named import (
    three_bar_truss as three_bar_truss,
)
from .named import (
    welded_beam as welded_beam,
)
