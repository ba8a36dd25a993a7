"""Predictors: everything that can say what comes next."""
