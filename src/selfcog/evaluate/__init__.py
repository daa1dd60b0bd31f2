"""Scoring: what answers assert about their speaker, and the statistics of the scorecard."""
