import numpy as np

from medseg.data.formats import colours


def test_a_colour_is_the_number_that_designers_write():
    rgb = np.array([[[255, 0, 0], [18, 52, 86]]], dtype=np.uint8)
    assert colours.pack(rgb).tolist() == [[0xFF0000, 0x123456]]
    assert colours.name(0x00FF00) == "0x00ff00"


def test_only_shades_of_grey_are_grey():
    assert colours.is_grey(np.array([[7, 7, 7], [0, 0, 0]]))
    assert not colours.is_grey(np.array([[7, 7, 8]]))


def test_a_value_map_speaks_of_colours_when_a_key_is_no_byte():
    assert colours.names_colours({0xFF0000: 1, 0: 0})
    assert not colours.names_colours({255: 1})


def test_the_suggested_value_map_is_what_a_recipe_takes():
    assert colours.suggest([0xFF0000, 0x0000FF]) == "data.value_map={0xff0000: 1, 0x0000ff: 2}"
