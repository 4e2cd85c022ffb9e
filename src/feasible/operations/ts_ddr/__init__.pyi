from .settings import TSDDRSettings as TSDDRSettings
from .ts_ddr import TSDDR as TSDDR, SolvesFailed as SolvesFailed, TSDDRFit as TSDDRFit
