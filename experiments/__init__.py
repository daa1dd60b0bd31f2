"""Measurements beside the package; each has a README and one command."""
