"""Corpora on disk: source files, documents, tokens, vocabularies and encoded text."""
