"""Tuning: a search for better options than charlm's own plan, at equal time for each trial."""
