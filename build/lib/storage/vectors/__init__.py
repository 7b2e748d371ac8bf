"""Word vectors in the file formats of other tools."""
