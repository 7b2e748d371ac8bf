"""Forms of files that more than one subpackage of storage reads or writes."""
