"""charlm as a model of other programs: what they find by entry points."""
