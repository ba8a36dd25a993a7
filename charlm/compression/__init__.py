"""Lossless compression: any bytes, by what a Predictor expects them to be."""
