"""Trained models on disk: matrices, checkpoints, evaluations, comparisons and word maps."""
