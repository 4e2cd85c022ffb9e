from .optimiser import NormalizedIGT as NormalizedIGT
from .settings import GradientSettings as GradientSettings
from .tables import TableGradient as TableGradient
