"""Published tables: the release file, its ledger, publishing, history, verification and querying."""
