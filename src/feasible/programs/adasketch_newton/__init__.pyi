from .baselines import AugmentedLagrangian as AugmentedLagrangian, GmresSQP as GmresSQP
from .instances import logistic_sphere as logistic_sphere, pde_control as pde_control
from .run import AdaSketchNewton as AdaSketchNewton
from .settings import AdaSketchSettings as AdaSketchSettings
