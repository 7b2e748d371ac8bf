"""Whether the GPU backend can run here, without importing Triton, and how much memory it needs."""

from importlib.util import find_spec

from tasks.trainers.gpu.tile_shape import row_stride

# Ampere: the first with bfloat16 in its tensor cores.
LEAST_CAPABILITY = (8, 0)
# Tokens of a portion: milliseconds of work, so that launch overhead is negligible. Fewer where memory is short.
PORTION_TOKENS = 1 << 21
LEAST_PORTION_TOKENS = 1 << 18
# Of a portion, per token, with the most noise words: `TileShape.token_bytes` has the figure for given settings.
MOST_TOKEN_BYTES = 600
# Kernels, driver and allocator overhead.
SPARE_BYTES = 256 << 20


def obstacle() -> str | None:
    """Why the GPU backend cannot run here, or None if it can."""
    for package in ("torch", "triton"):
        if find_spec(package) is None:
            return f"the package {package} is not installed"
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return "no CUDA device"
    capability = torch.cuda.get_device_capability()
    if capability < LEAST_CAPABILITY:
        least = ".".join(map(str, LEAST_CAPABILITY))
        found = ".".join(map(str, capability))
        return f"{torch.cuda.get_device_name()} has compute capability {found}, and {least} is the least supported"
    return None


def memory_obstacle(words: int, dimension: int, *, now: bool) -> str | None:
    """Why the GPU's memory is too small for a vocabulary of `words`, or None if it suffices.

    now: count only memory that is free at this moment; otherwise all of it, so that the answer does not vary.
    """
    import torch

    needed = needed_bytes(words, dimension)
    free, total = torch.cuda.mem_get_info()
    if needed <= (free if now else total):
        return None
    return (
        f"too little memory on {torch.cuda.get_device_name()}: {needed / 1e9:.1f} GB needed for {words:,} words of "
        f"dimension {dimension}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    )


def gpu_count() -> int:
    """GPUs of this machine that torch can use."""
    if find_spec("torch") is None:
        return 0
    import torch

    return torch.cuda.device_count()


def device_name() -> str:
    """The GPU that would be used. Call only without an obstacle."""
    import torch

    return torch.cuda.get_device_name()


def needed_bytes(words: int, dimension: int) -> int:
    """The minimum memory for training: both tables, the sampling tables, a small portion of the corpus."""
    tables = 2 * 4 * words * row_stride(dimension)
    # Early and late keep thresholds, noise thresholds and noise aliases.
    return tables + 4 * 4 * words + LEAST_PORTION_TOKENS * MOST_TOKEN_BYTES + SPARE_BYTES
