"""Start the ranks on this machine by torch's own launcher, and report which of them failed.

A separate program, because the launcher handles signals and changes the environment of its process:
`python -m tasks.trainers.processes.launcher RANKS MODULE ARGUMENTS...`. It passes its standard input, output and error
on to the ranks, and prints one line of JSON if a rank fails.
"""

import json
import sys
import uuid

FAILURES = "failures"


def launch(ranks: int, module: str, arguments: list[str]) -> int:
    """Run a module as several ranks until they end. Returns the exit status."""
    # Deferred: the run that starts this program needs only its name, and torch takes seconds to import.
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)("-m", module, *arguments)
    except ChildFailedError as error:
        failures = [
            {"rank": rank, "pid": failure.pid, "exit_code": failure.exitcode}
            for rank, failure in error.failures.items()
        ]
        print(json.dumps({FAILURES: failures}), flush=True)  # noqa: T201  # to the process that reads it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(launch(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
