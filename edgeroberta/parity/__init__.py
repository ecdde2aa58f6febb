"""Whether the runtime reads and answers as transformers does: the same tokens, the same logits."""
