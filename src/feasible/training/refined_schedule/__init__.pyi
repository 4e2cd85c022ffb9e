from .refined import (
    DegenerateScheduleWarning as DegenerateScheduleWarning,
    GradNormLogger as GradNormLogger,
    LinearDecay as LinearDecay,
    Refined as Refined,
    last_iterate_bound as last_iterate_bound,
    linear_to_last as linear_to_last,
    refine_schedule as refine_schedule,
)
from .run import RefinedRecipe as RefinedRecipe
