"""Training: from tokenised rows and a model to checkpoints and events.

The entry is ``selfcog.train.loop.train``; ``selfcog.train.launch.maybe_relaunch`` starts several
processes. Importing this package loads nothing heavy.
"""
