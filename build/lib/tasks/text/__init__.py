"""Pure text processing: tokenizers, word counts, subsampling and noise probabilities."""
