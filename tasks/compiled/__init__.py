"""The decorators of functions that Numba compiles.

Numba counts the references to an array with atomic instructions, 5 ns each, wherever it cannot prove that they cancel:
in functions that return early or call others, and in loops over these. They were nine tenths of the time in which
Korean text was scanned. A function that creates no array needs none; Numba refuses to compile one that does.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba

# Compiled functions accept other types than their annotations.
Decorator = Callable[..., Callable[..., Any]]
njit: Decorator = partial(numba.njit, nogil=True, cache=True)
uncounted: Decorator = partial(numba.njit, nogil=True, cache=True, _nrt=False)
