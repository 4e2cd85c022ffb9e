"""Problems for the shared `LanguageProblem`, whose small policies are trained where asked for."""
