from . import kappas as kappas
from .lion_k import LionK as LionK
from .lyapunov import LyapunovMonitor as LyapunovMonitor
from .native_numpy import lion_k_minimize as lion_k_minimize
