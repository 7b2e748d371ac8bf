"""Evaluate existing vectors as a task of a flow."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.evaluation_targets import TargetConfig as TargetConfig
from tasks.evaluation_targets import TargetEvaluation as TargetEvaluation
from tasks.evaluation_targets import score_target

evaluate_target = task(name="evaluate release", cache_policy=NO_CACHE)(score_target)
