from .refined import (
    DegenerateScheduleWarning as DegenerateScheduleWarning,
)
from .refined import (
    GradNormLogger as GradNormLogger,
)
from .refined import (
    LinearDecay as LinearDecay,
)
from .refined import (
    Refined as Refined,
)
from .refined import (
    last_iterate_bound as last_iterate_bound,
)
from .refined import (
    linear_to_last as linear_to_last,
)
from .refined import (
    refine_schedule as refine_schedule,
)
from .run import RefinedRecipe as RefinedRecipe
