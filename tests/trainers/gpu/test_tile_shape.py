"""The tiles that the GPU trains cover what the settings ask for, and nothing moves too far at once."""

import pytest

from tasks.trainers.config import SkipGramConfig
from tasks.trainers.gpu.tile_shape import centers_in_flight, tile_shape


@pytest.mark.parametrize("radius", [1, 5, 8, 9, 50])
@pytest.mark.parametrize("negatives", [1, 5, 25])
@pytest.mark.parametrize("dimension", [8, 100, 128, 129, 300, 1024])
def test_the_shape_of_a_tile_covers_what_the_settings_ask_for(dimension: int, radius: int, negatives: int) -> None:
    config = SkipGramConfig(
        dimension=dimension, window_radius=radius, negatives_per_pair=negatives, narrowing_windows=False
    )
    shape = tile_shape(config, 70_000)
    assert shape.columns * shape.column_blocks >= dimension
    assert shape.stride % 8 == 0
    assert dimension <= shape.stride < dimension + 8
    assert shape.block_inputs * shape.input_blocks >= 16 + 2 * radius
    noise_words = shape.slots - 16
    assert shape.noise_share * noise_words == pytest.approx(negatives)
    # On average a noise word serves at most twice as many pairs as in the CPU trainer.
    assert shape.noise_share * 16 * (radius + 1) <= 20
    assert shape.token_bytes <= 600


@pytest.mark.parametrize(("words", "expected"), [(60, 16), (30_746, 480), (67_903, 1060), (10_000_000, 4096)])
def test_fewer_words_mean_fewer_centers_in_flight(words: int, expected: int) -> None:
    assert centers_in_flight(SkipGramConfig(), words) == expected
    assert centers_in_flight(SkipGramConfig(centers_in_flight=100), words) == 100
    assert tile_shape(SkipGramConfig(centers_in_flight=100), words).programs == 7
