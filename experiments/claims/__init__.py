"""The tutorial's claims about self-cognition fine-tuning, as experiments that anyone can repeat."""
