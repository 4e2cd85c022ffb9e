from .episodes import fewshot_episodes as fewshot_episodes
from .iterations import ClusteringSettings as ClusteringSettings
from .problem import FewShot as FewShot
from .transductive import (
    FewShotClustering as FewShotClustering,
    TransductiveClustering as TransductiveClustering,
)
