"""Training on the cores of one machine, compiled by Numba."""
