from .autolrs import AllDiverged as AllDiverged, AutoLRS as AutoLRS
from .forecast import exp_forecast as exp_forecast
from .run import AutoLRSRecipe as AutoLRSRecipe
from .search import LRSearch as LRSearch
from .settings import AutoLRSSettings as AutoLRSSettings
