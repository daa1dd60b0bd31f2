"""Makes the embedded model from nothing: corpus, tokenizer, training, scores (see README.md)."""
