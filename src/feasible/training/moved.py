"""Where the methods of stored runs of version 0.1.0 are now: "module:class" -> registered name."""

MOVED = {
    "feasible.training.recipe:Recipe": "recipe",
    "feasible.training.refined_run:RefinedRecipe": "sgd-refined",
    "feasible.training.autolrs_run:AutoLRSRecipe": "autolrs",
    "feasible.training.target_run:SSO": "sso",
    "feasible.training.target_run:Parametric": "target-gd",
    "feasible.training.pruning:WeightPruning": "obs-pruning",
    "feasible.training.pruning:GroupPruning": "hesso",
    "feasible.training.peers_pruning:TorchPruningMagnitude": "torch-pruning-magnitude",
}
