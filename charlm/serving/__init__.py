"""Predictions over HTTP, for programs and for people: `charlm serve`."""
