import pytest

from medseg.recipe.arguments import expected, fits
from medseg.recipe.signatures import Argument, describe


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        ("int", [1, 0], [1.5, "1", True, [1], None]),
        ("float", [1, 0.5], ["1", True, [1.0], None]),
        ("bool", [True], [1, "true", None]),
        ("str", ["a"], [1, True, ["a"]]),
        ("int | None", [1, None], ["a"]),
        ("Optional[float]", [1.5, None], ["a"]),
        ("Union[int, str]", [1, "a"], [1.5, [1]]),
        ("Sequence[int] | int", [1, [1, 2]], [[1.5], "a", {"a": 1}]),
        ("tuple[float, float]", [[1, 0.5]], [1, ["a", 1]]),
        ("tuple[float, ...]", [[1, 2, 3]], [["a"]]),
        ("tuple", [[1, "a"]], [1]),
        ("dict[str, int]", [{"a": 1}], [1, {"a": "b"}]),
        ("Literal['a', 'b']", ["a"], ["c", 1]),
        ("'int'", [1], ["a"]),
        ("Callable | None", [1, "a", None], []),
        ("LossReduction | str", ["mean", 1], []),
        ("float | torch.Tensor", [1, [1.0]], ["1e-3", True]),
    ],
)
def test_value_fits_an_annotation(type_, good, bad):
    argument = Argument(type_)
    assert [value for value in good if not fits(value, argument)] == []
    assert [value for value in bad if fits(value, argument)] == []


@pytest.mark.parametrize(
    ("default", "good", "bad"),
    [
        ("0.5", [1, 0.1], ["a", True]),
        ("True", [False], [1, "a"]),
        ("'x'", ["y"], [1]),
        ("None", [1, "a", [1]], []),
        ("some.function", [1, "a"], []),
    ],
)
def test_without_annotation_the_default_tells_the_kind(default, good, bad):
    argument = Argument("", default)
    assert [value for value in good if not fits(value, argument)] == []
    assert [value for value in bad if fits(value, argument)] == []


def test_annotations_that_contradict_their_default_are_not_taken_literally():
    assert fits(0.25, Argument("int", "0.5"))
    assert fits(None, Argument("str", "None"))
    assert fits([1, 2], Argument("int", "(1, 2)"))


def test_expectation_is_said_in_plain_words():
    assert expected(Argument("float")) == "a number"
    assert expected(Argument("Sequence[int] | int | None")) == (
        "a list of whole numbers, a whole number or null"
    )
    assert expected(Argument("Literal['a', 'b']")) == "a or b"


class Base:
    def __init__(self, p: float = 1, *, copy: bool = True):
        pass


class Middle(Base):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class Forwards(Middle):
    def __init__(self, order: int, **kwargs):
        super().__init__(**kwargs)


class Fixes(Base):
    def __init__(self, order: int = 3, **kwargs):
        super().__init__(order, **kwargs)


class FixesByName(Base):
    def __init__(self, **kwargs):
        Base.__init__(self, copy=False, **kwargs)


class Elsewhere(Base):
    def __init__(self, order: int = 3, **pad):
        super().__init__(order)
        self.pad = pad


class Inherits(Forwards):
    pass


def test_arguments_of_base_classes_are_included():
    assert list(describe(Forwards).arguments) == ["order", "p", "copy"]
    assert describe(Forwards).arguments["order"] == Argument("int", None)
    assert list(describe(Inherits).arguments) == ["order", "p", "copy"]
    assert not describe(Forwards).is_open


def test_arguments_that_a_class_gives_its_base_are_not():
    assert list(describe(Fixes).arguments) == ["order", "copy"]
    assert list(describe(FixesByName).arguments) == ["p"]


def test_kwargs_that_go_elsewhere_make_a_signature_open():
    assert list(describe(Elsewhere).arguments) == ["order"]
    assert describe(Elsewhere).is_open
    assert describe(lambda **rest: rest).is_open


def test_defaults_are_values_where_yaml_can_say_them():
    def function(a=(1, 2), b=None, c=len, d=float("inf"), e={"k": (1,)}): ...  # noqa: B006

    found = {k: v.literal for k, v in describe(function).arguments.items()}
    assert found["a"].value == [1, 2]
    assert found["b"].value is None
    assert found["c"] is None
    assert found["d"] is None
    assert found["e"].value == {"k": [1]}
