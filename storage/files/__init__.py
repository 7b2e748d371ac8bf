"""Forms of files that more than one room of storage reads or writes."""
