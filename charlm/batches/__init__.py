"""Ids become batches, with a position to go on from. NumPy only; no model, no text."""
