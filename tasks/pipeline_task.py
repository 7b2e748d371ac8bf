"""The tasks of the pipeline: Prefect tasks in a flow run, plain functions outside one."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from tasks.progress import working_on

P = ParamSpec("P")
R = TypeVar("R")


class PipelineTask(Task[P, R]):
    """A task that outside a flow run, where Prefect would start a server for it, is its function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # as Prefect's own
        """Run the task, with its name on the progress bar."""
        with working_on(self.name):
            return super().__call__(*args, **kwargs) if FlowRunContext.get() else self.fn(*args, **kwargs)


def pipeline_task(name: str, **options: Any) -> Callable[[Callable[P, R]], Task[P, R]]:  # noqa: ANN401
    """Make a function a task of the pipeline. Stages are cached by their digests, so Prefect caches nothing.

    options: retries and others of `prefect.Task`.
    """

    def decorated(function: Callable[P, R]) -> Task[P, R]:
        return PipelineTask(fn=function, name=name, cache_policy=NO_CACHE, **options)

    return decorated
