from .model import GP as GP, Form as Form
from .run import RobustBO as RobustBO
