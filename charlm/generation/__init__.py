"""Writing with a Predictor: sampling, generating, suggesting. No torch."""
