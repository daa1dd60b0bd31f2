"""Speed, memory and starts of selfcog beside its peers: ``make bench``."""
