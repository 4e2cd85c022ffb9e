"""Claims of the training room."""
