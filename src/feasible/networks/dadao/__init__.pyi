from .dadao import DADAOResult as DADAOResult, dadao as dadao
from .instances import regression as regression
from .rates import GossipRates as GossipRates, TooSlow as TooSlow, gossip_rates as gossip_rates
from .run import DADAO as DADAO
from .settings import DADAOSettings as DADAOSettings
