from .instances import svm_weights as svm_weights
from .lv_hba import LVHBAResult as LVHBAResult, lv_hba as lv_hba, proximal_value as proximal_value
from .projections import joint_projection as joint_projection, svm_projection as svm_projection
from .run import LVHBA as LVHBA
from .settings import LVHBASettings as LVHBASettings
