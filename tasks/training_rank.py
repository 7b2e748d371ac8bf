"""One rank of a training over processes: `python -m tasks.training_rank`, started by torchrun or by its launcher.

It reads the encoded corpus and trains its share. Rank 0 writes the checkpoints and reports the progress. Reports are
lines of JSON on standard output; whatever else is printed goes to standard error. Rank 0 takes the line `stop` from
standard input as the wish to save and stop, and its end as the death of the run that it trains for.
"""

import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

from storage.corpus.encoded import EncodedCorpus
from storage.corpus.vocabularies import read_vocabulary
from storage.errors import VecmillError
from tasks.checkpoints import restore_state, save_state
from tasks.trainers.interface import Vocabulary
from tasks.trainers.processes.group import ProcessGroup, RankLostError
from tasks.trainers.processes.training import ShareTraining, Wish, always_go_on
from tasks.training_job import JOB, NOTHING_TO_TRAIN, PEER_LOST, REPORTED, STOP, Job, RankTotals

logger = logging.getLogger(__name__)

# So that the launcher sees the end of the rank that was lost before the ends of those that miss it.
LINGER_SECONDS = 1.0


class Reports:
    """Lines of JSON for the run that started the ranks."""

    def __init__(self) -> None:
        self._lines = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def send(self, **report: object) -> None:
        """Write one line at once, whole even while another rank writes."""
        self._lines.write(json.dumps(report) + "\n")
        self._lines.flush()


class Wishes:
    """What the run wants of rank 0: listens to standard input, and knows when a checkpoint is due."""

    def __init__(self, every_seconds: float) -> None:
        self._every_seconds, self._saved = every_seconds, time.monotonic()
        self._stop = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def __call__(self) -> Wish:
        """The wish at the end of a round."""
        if self._stop.is_set():
            return Wish.STOP
        return Wish.SAVE if time.monotonic() - self._saved >= self._every_seconds else Wish.GO_ON

    def saved(self) -> None:
        """Start to wait for the next checkpoint."""
        self._saved = time.monotonic()

    def _listen(self) -> None:
        for line in sys.stdin:
            if line.strip() == STOP:
                self._stop.set()
        # The run has died, so nobody would take the result.
        if not self._stop.is_set():
            os._exit(REPORTED)


def main(environment: Mapping[str, str], timeout_seconds: float, job: Job | None = None) -> int:
    """Train a job as the rank that the environment names. Returns the exit status.

    timeout_seconds: how long to wait for another rank.  job: needed by rank 0, from which the others receive it.
    """
    reports, rank = Reports(), int(environment["RANK"])
    try:
        with ProcessGroup(environment, timeout_seconds) as group:
            if job is not None:
                group.publish(JOB, job.as_json())
            text = group.read(JOB)
            if text != NOTHING_TO_TRAIN:
                _train(Job.from_json(text), group, reports)
            return 0
    except RankLostError as error:
        reports.send(rank=rank, lost=str(error))
        logger.error("%s", error)
        time.sleep(LINGER_SECONDS)
        return PEER_LOST
    except (ArithmeticError, MemoryError, ValueError, VecmillError) as error:
        reports.send(rank=rank, error=str(error))
        return REPORTED
    except Exception as error:
        traceback.print_exc()
        reports.send(rank=rank, error=f"rank {rank} failed with {type(error).__name__}: {error}")
        return REPORTED


def _train(job: Job, group: ProcessGroup, reports: Reports) -> None:
    config, first = job.config, group.rank == 0
    source, words = EncodedCorpus(job.encoded), read_vocabulary(job.vocabulary)
    vocabulary = Vocabulary(words.counts, words.keep_probability, words.noise_probability)
    state, epochs = restore_state(job.folder) if first else (None, [])
    wishes = Wishes(config.checkpoint_every_seconds) if first else None
    group.connect("cuda" if config.backend == "triton" else "cpu")
    training = ShareTraining(source, vocabulary, config, group, state, wishes or always_go_on)
    tokens_before, started = training.tokens_done, time.perf_counter()
    for step in training.steps():
        if wishes is None:
            continue
        if step.epoch_result:
            epochs.append(step.epoch_result)
        due = step.epoch_result is None or step.state.epoch == config.epochs or wishes() is not Wish.GO_ON
        if step.resumable and due:
            save_state(job.folder, step.state, epochs, job.recipe)
            wishes.saved()
        reports.send(tokens_done=step.tokens_done, epoch=step.epoch_result and vars(step.epoch_result))
    if first:
        tokens = (training.tokens_done - tokens_before) / group.size
        seconds = time.perf_counter() - started
        totals = RankTotals(tokens, seconds, 4 * training.values_exchanged, training.exchange_seconds)
        reports.send(**vars(totals))


if __name__ == "__main__":
    given = Job.from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.exit(main(os.environ, given.config.process_timeout_seconds, given if os.environ["RANK"] == "0" else None))
