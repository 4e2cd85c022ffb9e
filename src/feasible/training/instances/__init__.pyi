from .pruning import (
    digits_small as digits_small,
)
from .pruning import (
    digits_small_cnn as digits_small_cnn,
)
from .pruning import (
    digits_sparse as digits_sparse,
)
from .pruning import (
    pixels as pixels,
)
from .small import (
    PROBLEMS as PROBLEMS,
)
from .small import (
    SPLIT as SPLIT,
)
from .small import (
    CharacterModel as CharacterModel,
)
from .small import (
    ResidualBlock as ResidualBlock,
)
from .small import (
    breast_cancer_mlp as breast_cancer_mlp,
)
from .small import (
    classification_mlp as classification_mlp,
)
from .small import (
    diabetes_mlp as diabetes_mlp,
)
from .small import (
    digits_autoencoder as digits_autoencoder,
)
from .small import (
    digits_cnn as digits_cnn,
)
from .small import (
    digits_logistic as digits_logistic,
)
from .small import (
    digits_mlp as digits_mlp,
)
from .small import (
    documentation as documentation,
)
from .small import (
    mlp as mlp,
)
from .small import (
    moons_mlp as moons_mlp,
)
from .small import (
    residual_cnn as residual_cnn,
)
from .small import (
    split as split,
)
from .small import (
    standardised as standardised,
)
from .small import (
    text_lm as text_lm,
)
