"""Finding, loading and adapting a model. Importing this package loads no torch."""
