"""From conversations to token ids and labels, and from rows to packs."""
