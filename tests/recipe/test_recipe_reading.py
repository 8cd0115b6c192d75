import pytest

from medseg.recipe.nodes import Node
from medseg.recipe.overrides import read_overrides
from medseg.recipe.problems import Place
from medseg.recipe.reading import read_file, read_text
from medseg.recipe.scalars import parse_scalar


def read(text):
    problems = []
    node = read_text(text, "f.yaml", problems)
    return node, [str(problem.to_error()) for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("on", "on"),
        ("12", 12),
        ("-3", -3),
        ("012", 12),
        ("0o17", 15),
        ("0xfF", 255),
        ("1_000", "1_000"),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", float("-inf")),
        ("+.inf", float("inf")),
        ("2001-01-01", "2001-01-01"),
        ("12:30", "12:30"),
        ("1.2.3", "1.2.3"),
        ("<<", "<<"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text, value):
    found = parse_scalar(text)
    assert found == value
    assert type(found) is type(value)
    assert read(f"key: {text}")[0].plain()["key"] == value


def test_quotes_and_tags_make_text():
    node, problems = read("a: '5'\nb: \"true\"\nc: !!str 5\nd: |\n  12\n")
    assert node.plain() == {"a": "5", "b": "true", "c": "5", "d": "12\n"}
    assert problems == []


def test_every_node_knows_its_line():
    node, _ = read("# head\na:\n  b:\n    - 1\n    - x: 2\nc: &n {d: 1}\n")
    lines = {".".join(map(str, path)): found.place.line for path, found in node.walk()}
    assert lines == {
        "": 2,
        "a": 2,
        "a.b": 3,
        "a.b.0": 4,
        "a.b.1": 5,
        "a.b.1.x": 5,
        "c": 6,
        "c.d": 6,
    }


def test_duplicate_keys_are_all_reported():
    node, problems = read("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert problems == [
        "f.yaml:2: b.c: is given twice, first in line 2",
        "f.yaml:3: a: is given twice, first in line 1",
    ]
    assert node.plain() == {"a": 1, "b": {"c": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\nb: 3", "f.yaml:2: not valid YAML"),
        ("a: 1\n\tb: 2", "f.yaml:2: not valid YAML"),
        ("a: 1\n---\nb: 2", "f.yaml:2: not valid YAML"),
        ("- a\n- b", "f.yaml:1: a recipe is a mapping"),
        ("just text", "f.yaml:1: a recipe is a mapping"),
        ("a: *nobody", "f.yaml:1: not valid YAML"),
        ("a: &x [*x]", "f.yaml:1: aliases unfold into an endless tree"),
        ("a: !!python/object:os.system x", "f.yaml:1: a: tags are not allowed"),
        ("a: !mine x", "f.yaml:1: a: tags are not allowed"),
        ("? [1, 2]\n: 3", "f.yaml:1: keys must be plain words"),
        ("a: \x01", "f.yaml:1: not valid YAML"),
    ],
)
def test_what_is_no_recipe_is_one_problem_with_a_line(text, message):
    _, problems = read(text)
    assert len(problems) == 1
    assert problems[0].startswith(message)


def test_aliases_that_unfold_without_end_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 9):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    _, problems = read("\n".join(lines))
    assert "endless" in problems[0]


def test_files_that_are_no_text_are_named(tmp_path):
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    for path, words in (
        (binary, "UTF-8"),
        (tmp_path, "this is a folder"),
        (tmp_path / "absent.yaml", "there is no such recipe"),
    ):
        problems = []
        assert read_file(path, problems) is None
        assert words in problems[0].message


def test_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfseed: 1\r\ntask: x\r\n")
    assert read_file(path, []).plain() == {"seed": 1, "task": "x"}


def overrides(*texts):
    problems = []
    return read_overrides(texts, problems).plain(), [str(p.to_error()) for p in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4m", "4m"),
        ("5", 5),
        ("1e-3", 0.001),
        ("", None),
        ("[1, 2]", [1, 2]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("'5'", "5"),
        ('"a b"', "a b"),
        ("/data/a: b #c", "/data/a: b #c"),
        ("a=b", "a=b"),
        ("${X:1}", "${X:1}"),
        ("*.nii", "*.nii"),
    ],
)
def test_value_of_an_override_is_a_scalar_or_a_flow_collection(text, value):
    assert overrides(f"k.l={text}") == ({"k": {"l": value}}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed", "command line: seed: an override is written key=value"),
        ("=5", "command line: =5: an override is written key=value"),
        ("a..b=5", "command line: a..b: an override is written key=value"),
        ("a=[1", "command line: a: the value is not YAML"),
        ("a={b: 1, b: 2}", "command line: a.b: is given twice"),
    ],
)
def test_malformed_override_is_a_problem(text, message):
    assert overrides(text)[1][0].startswith(message)


def test_node_gives_the_text_that_was_written():
    node = Node({"a": Node(5, Place("f", 1), written="${X}")}, Place("f", 1))
    assert node.plain() == {"a": 5}
    assert node.plain(written=True) == {"a": "${X}"}
