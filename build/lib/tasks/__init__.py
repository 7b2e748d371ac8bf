"""How one stage runs: thin Prefect tasks over the pure subpackages and the storage room."""
