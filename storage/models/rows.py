"""Rows of scores: fields are columns of files and tables, descriptions are the column comments."""

from pydantic import BaseModel, ConfigDict, Field

# The section of an evaluation row for the whole gold set.
WHOLE = "all"


class Row(BaseModel):
    """One row of one of the tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EvaluationRow(Row):
    """One score, in the table `evaluation`."""

    metric: str = Field(description="name of the metric")
    section: str = Field(default=WHOLE, description=f"part of the gold set; '{WHOLE}' is the whole")
    value: float | None = Field(description="the metric's value; NULL if nothing could be compared")
    coverage: float | None = Field(default=None, description="share of the gold set with known words, 0 to 1")
    gold_digest: str | None = Field(default=None, description="digest of the reference data and settings")
    low: float | None = Field(default=None, description="lower end of the value's 95 % interval; NULL: none")
    high: float | None = Field(default=None, description="upper end of the value's 95 % interval; NULL: none")
    covered: int | None = Field(default=None, description="pairs, questions or words that the value is based on")
    lost: int | None = Field(default=None, description="those skipped because of an unknown word")

    @property
    def is_whole(self) -> bool:
        """Whether it is the score on the whole gold set."""
        return self.section == WHOLE


class ComparedWordRow(Row):
    """A word and its neighbours in other vectors, in the table `compared_words`."""

    compared_with: str = Field(description="reference vectors, or the previous release")
    word: str = Field(description="the word")
    rank: int = Field(description="rank by frequency, 1 = most frequent")
    overlap: float = Field(description="share of nearest neighbours common to both, 0 to 1")
    rank_overlap: float = Field(description="the same, weighted by rank (rank-biased overlap), 0 to 1")
    only_here: list[str] = Field(description="neighbours only in this release, nearest first")
    only_there: list[str] = Field(description="neighbours only in the other, nearest first")
