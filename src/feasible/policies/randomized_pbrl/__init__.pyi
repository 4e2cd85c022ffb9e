from .native import PRLSVI as PRLSVI, Asked as Asked, PairLog as PairLog, PbTS as PbTS
from .settings import PbTSSettings as PbTSSettings, PRLSVISettings as PRLSVISettings
