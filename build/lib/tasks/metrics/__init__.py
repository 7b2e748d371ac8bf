"""Pure measures of word vectors: similarity, analogies, neighbour overlap, gates."""
