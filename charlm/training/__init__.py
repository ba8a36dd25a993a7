"""The training loop, which knows neither words nor numbers: a task gives it losses and batches."""
