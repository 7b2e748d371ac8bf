"""Training over processes: each rank trains its share of the corpus, and all exchange what they have changed."""
