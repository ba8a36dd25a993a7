"""Scores: total nats over total units, for any Predictor and any tokenizer. No torch."""
