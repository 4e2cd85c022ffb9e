from . import kappas as kappas
from .lion_k import LionK as LionK, LionKSettings as LionKSettings
from .lyapunov import LyapunovMonitor as LyapunovMonitor
from .native_numpy import lion_k_minimize as lion_k_minimize
