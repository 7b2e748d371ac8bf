"""A project: a folder with a prefect.yaml that vecmill's commands use instead of the shipped one."""

import re
from pathlib import Path

from storage.errors import SettingsError
from storage.layout import TABLE_NAME
from storage.output_files import new_output

PREFECT_FILE = """\
# The tables of this project. In this folder, `vecmill build NAME` runs a deployment of this file, `vecmill up` or
# `vecmill deploy` sends them to a server. To add a table, copy the deployment and change its name and table.
name: NAME

deployments:
  - name: NAME
    description: what the table NAME is for
    entrypoint: flows.word_vectors.build_word_vectors
    tags: [vecmill]
    work_pool:
      name: local
      job_variables:
        # Without these, lines of the run would go to the worker, and a killed run would be noticed late.
        stream_output: false
        env:
          PREFECT_LOGGING_EXTRA_LOGGERS: flows,tasks,storage
          PREFECT_FLOWS_HEARTBEAT_FREQUENCY: "30"
    # At most one active and one waiting run; more wait on the server.
    concurrency_limit:
      limit: 2
      collision_strategy: ENQUEUE
      grace_period_seconds: 120
    # Uncomment for a run every Monday at 3:00, while `vecmill up` or a worker runs.
    # schedules:
    #   - slug: weekly
    #     cron: "0 3 * * 1"
    #     timezone: Etc/UTC
    parameters:
      corpus:
        source: files
        # A file, folder or glob below this folder, or an address: txt, csv, jsonl, parquet and others, also compressed.
        path: texts
        # For csv, jsonl and parquet:
        # text_column: text
      # tokenizer: {name: unicode_words}
      # vocabulary: {min_count: 5}
      # training: {dimension: 100, epochs: 5}
      publication:
        table: NAME
        # A release below these scores is kept as a candidate and not published. Run without gates first, then set
        # them below the scores that you see.
        # gates:
        #   wordsim353: {minimum: 0.3, max_drop: 0.06}
"""
README_FILE = """\
# NAME

Word vectors built by vecmill: put text into `texts/`, or change `corpus.path` in `prefect.yaml`.
`vecmill build NAME` trains and publishes the table, `vecmill nearest NAME WORD` queries it.
`vecmill report NAME --open` shows it, `vecmill up` runs the deployments of `prefect.yaml` on their schedules.
"""
IGNORE_FILE = """\
# Built by vecmill; only prefect.yaml and the text are the source.
workspace/
"""
FILES = {"prefect.yaml": PREFECT_FILE, ".gitignore": IGNORE_FILE, "README.md": README_FILE}


def create_project(folder: Path, name: str | None = None) -> list[Path]:
    """Write prefect.yaml, .gitignore and README.md into a folder, which is created. Returns their paths.

    name: of the deployment and its table; default: the folder's, with `-` for characters that a table name cannot have.
    Raises SettingsError if one of the files exists, before any is written, or for an invalid table name.
    """
    folder = folder.expanduser().absolute()
    chosen = name or re.sub(r"[^A-Za-z0-9_-]+", "-", folder.name).strip("-_")[:63]
    if not TABLE_NAME.fullmatch(chosen):
        raise SettingsError(
            f"{chosen[:80]!r} is not a valid table name: set --name to 1 to 63 letters, digits, '_' or '-', starting "
            "with a letter or digit"
        )
    paths = [folder / file for file in FILES]
    for path in paths:
        if path.exists():
            raise SettingsError(f"{path} already exists; choose another folder, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{folder} cannot be created: {error.strerror}") from error
    for path in paths:
        with new_output(path, force=False) as written:
            written.write_text(FILES[path.name].replace("NAME", chosen), encoding="utf-8")
    return paths
