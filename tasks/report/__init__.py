"""Pure: 2-D maps of words, pictures of them, and the report page of a release."""
