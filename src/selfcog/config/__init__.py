"""Settings: one frozen tree per command; YAML, JSON, flags, help and docs are views of it."""
