"""What a model contributes before it is trained: its wording, its knowledge, its answers."""
