"""English stop words: scikit-learn's list."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def english_stop_words() -> frozenset[str]:
    """scikit-learn's ENGLISH_STOP_WORDS, read from its source file: importing the package takes a second."""
    spec = find_spec("sklearn")
    if spec and spec.submodule_search_locations:
        file = Path(spec.submodule_search_locations[0], "feature_extraction", "_stop_words.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body if file.is_file() else ():
            # ENGLISH_STOP_WORDS = frozenset([...])
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and len(node.value.args) == 1:
                return frozenset(ast.literal_eval(node.value.args[0]))
    # A version that keeps the list elsewhere.
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return ENGLISH_STOP_WORDS  # type: ignore[no-any-return]
