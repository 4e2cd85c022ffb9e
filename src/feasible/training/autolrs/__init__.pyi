from .autolrs import (
    AllDiverged as AllDiverged,
    AutoLRS as AutoLRS,
    AutoLRSSettings as AutoLRSSettings,
)
from .forecast import exp_forecast as exp_forecast
from .run import AutoLRSRecipe as AutoLRSRecipe
from .search import LRSearch as LRSearch
