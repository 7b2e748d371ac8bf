"""Gold sets: word pairs and analogies to score vectors with."""
