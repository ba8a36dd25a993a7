"""Text and token ids, both ways: sources, units, tokenizers, the token store. No torch."""
