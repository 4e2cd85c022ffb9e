from .client import (
    ClientState as ClientState,
    DifferenceClient as DifferenceClient,
    FZooSClient as FZooSClient,
)
from .instances import (
    federated_attack as federated_attack,
    federated_metric as federated_metric,
    federated_quadratic as federated_quadratic,
)
from .run import (
    FederatedDifferences as FederatedDifferences,
    FederatedResult as FederatedResult,
    FZooS as FZooS,
)
from .settings import (
    DifferenceSettings as DifferenceSettings,
    FederatedSettings as FederatedSettings,
    FZooSSettings as FZooSSettings,
)
from .surrogate import FourierFeatures as FourierFeatures, GradientSurrogate as GradientSurrogate
