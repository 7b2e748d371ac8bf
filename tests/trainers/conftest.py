"""Without a GPU, Triton's kernels run in its interpreter, which must be selected before the import."""

import os
from importlib.util import find_spec

if find_spec("triton") is not None:
    import torch

    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"
