"""From a checkpoint to something that runs without selfcog. Importing this loads no torch."""
