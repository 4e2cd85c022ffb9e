from .run import LagrangianPPO as LagrangianPPO
from .settings import LagrangianSettings as LagrangianSettings
