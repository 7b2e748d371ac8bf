"""One run: its result, record, summary, stop notes and plan."""
