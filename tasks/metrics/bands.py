"""Bands of ranks by frequency, and what a section of scores is called after one."""

# Last rank of a band that reaches to the end of any vocabulary.
END = 10**9


def band_name(low: int, high: int) -> str:
    """Name of the band from one rank to another, both in it: `rank 1 to 1,000`, `rank 10,001 on`."""
    return f"rank {low:,} to {high:,}" if high < END else f"rank {low:,} on"
