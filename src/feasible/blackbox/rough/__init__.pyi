from .model import GP as GP, Form as Form
from .relay import Relay as Relay
from .run import RobustBO as RobustBO
