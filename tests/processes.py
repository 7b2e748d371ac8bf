"""Processes that tests kill and start again."""

from multiprocessing.context import ForkServerContext

from benchmarks.fault_readers import fresh_context

# Of what most of them do. Started from nothing, each process would import it anew, which takes seconds.
IMPORTED = ("benchmarks.faults", "pytest", "tasks.cooccurrences", "tasks.training", "tests.storage.sample_releases")


def quick_processes() -> ForkServerContext:
    """Processes that fork from a bare interpreter which has imported the pipeline, but runs no threads.

    Python starts one such interpreter a test process, so all its tests share what is imported.
    """
    return fresh_context(*IMPORTED)
