from .dispatcher import LearnedDispatcher as LearnedDispatcher
from .env import CPSchedulingEnv as CPSchedulingEnv
from .network import DispatchNetwork as DispatchNetwork
from .settings import SamplingSettings as SamplingSettings, TrainingSettings as TrainingSettings
from .training import TrainingState as TrainingState, training_shops as training_shops
