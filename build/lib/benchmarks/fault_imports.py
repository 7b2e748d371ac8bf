"""Everything that a build imports on its way, imported at once: processes forked from here start without it."""

import pkgutil
from contextlib import suppress
from importlib import import_module

import flows
import storage
import tasks

LIBRARIES = (
    "torch", "torch.nn.functional", "numba", "sklearn.decomposition", "sklearn.manifold", "scipy.stats",
    "matplotlib.pyplot", "matplotlib.backends.backend_agg", "gensim.models", "duckdb", "pyarrow.parquet",
    "pyarrow.compute", "safetensors.numpy", "prefect.server.api.server",
)  # fmt: skip

for name in LIBRARIES:
    import_module(name)
for room in (storage, tasks, flows):
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        if not module.name.endswith("__main__"):
            # Some need a library or a device that is not here; a build does without them too.
            with suppress(ImportError):
                import_module(module.name)
