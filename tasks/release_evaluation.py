"""Evaluate existing vectors as a task of a flow."""

from tasks.evaluation_targets import TargetConfig as TargetConfig
from tasks.evaluation_targets import TargetEvaluation as TargetEvaluation
from tasks.evaluation_targets import score_target
from tasks.pipeline_task import pipeline_task

evaluate_target = pipeline_task("evaluate release")(score_target)
