"""What a training run is on disk and to its user, whatever it learns from."""
