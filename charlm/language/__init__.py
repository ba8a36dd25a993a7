"""The language wing: a corpus and minutes become a plan, a trained model, and a handle to hold."""
