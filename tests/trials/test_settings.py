"""Settings as people write them by mistake or by malice: taken as meant, or refused by name."""

from __future__ import annotations

import json
import math
import tempfile
from argparse import Namespace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lcc_utils import cli
from lcc_utils.errors import LccError, RequestError
from lcc_utils.pipeline import yaml_text
from lcc_utils.pipeline.compute import Workers
from lcc_utils.pipeline.config import RunConfig, load_config, parse_overrides
from lcc_utils.pipeline.names import checked_name, given_text, slug
from lcc_utils.pipeline.yaml_text import read_yaml

PROFILE = Path(__file__).resolve().parents[2] / "params" / "demo.yml"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefghijk", "bcdefghijkl", strict=True)
)

CHAIN = "a0: &a0 [1]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(999))


@pytest.fixture(params=["C", "Python"])
def parser(request, monkeypatch):
    """Each of PyYAML's two parsers; not every installation has both."""
    if request.param == "Python":
        monkeypatch.setattr(yaml_text, "_LOADER", yaml.SafeLoader)


@pytest.mark.parametrize(
    "text, value",
    [
        ("016", 16), ("0o17", 15), ("0x1f", 31), ("-3", -3), ("1e-3", 0.001), ("1.5E2", 150.0),
        (".5", 0.5), ("yes", "yes"), ("no", "no"), ("on", "on"), ("Off", "Off"), ("true", True),
        ("False", False), ("null", None), ("~", None), ("", None), ("1_000", "1_000"),
        ("12:30:45", "12:30:45"), ("2001-01-01", "2001-01-01"), ("'016'", "016"),
        ("no: 1", {"no": 1}), ("1: a", {"1": "a"}), ("[1, {a: b}]", [1, {"a": "b"}]),
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}", {"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}}),
        ("- &x {k: 1}\n- &y {k: 2, l: 2}\n- {<<: [*x, *y]}",
         [{"k": 1}, {"k": 2, "l": 2}, {"k": 1, "l": 2}]),
    ],
)  # fmt: skip
def test_yaml_is_read_as_version_1_2_has_it(parser, text, value):
    found = read_yaml(text, "x")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: 1\nb: 2\na: 3", "line 3, has the key 'a' a second time"),
        ("<<: {a: 1}\n<<: {b: 1}", "line 2, has the key '<<' a second time"),
        (BOMB, "more than 50,000 values"),
        ("a: &a [*a]", r"refers to itself by \*a"),
        ("a: &a {b: {c: *a}}", r"refers to itself by \*a"),
        ("a: *b", "does not stand before it"),
        ("[" * 100_000, "more than 32 deep"),
        ("{a: " * 50_000, "more than 32 deep"),
        (CHAIN, "32 deep"),
        ("!!binary aGk=", "has the tag !!binary"),
        ("a: !!set {b, c}", "has the tag !!set"),
        ("!!timestamp 2001-01-01", "has the tag !!timestamp"),
        ("!!python/object/apply:os.system [ls]", "has the tag !!python/object"),
        ("!own 1", "has the tag !own"),
        (".inf", "is no number"),
        ("[-.Inf]", "is no number"),
        ("a: .NaN", "line 1, holds .NaN, which is no number"),
        ("1e999", "too large"),
        ("9" * 5000, "a number of 5,000 characters"),
        ("a: 1\n---\nb: 2", "second document"),
        ("? [a]\n: 1", "key that is no name"),
        ("'': 1", "key that is no name"),
        ("<<: 1", "merges by <<"),
        ("a: [", "not valid YAML"),
        ("\x00", "not valid YAML"),
        ("a: \ud800", "not valid YAML"),
        ("x" * 300_000, "300,000 characters"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_yaml_that_no_setting_needs_is_refused_at_once(parser, text, message):
    with pytest.raises(RequestError, match=message):
        read_yaml(text, "x")


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"studies.ablation.seeds": 1_000_000_000}, "at most 20,000 experiments"),
        ({"studies.primary.seeds": 15_000}, "experiments would be planned"),
        ({"studies.ablation.seeds": [3, 3]}, "a seed stands twice"),
        ({"studies.ablation.seeds": [-1]}, "greater than or equal to 0"),
        ({"studies.ablation.seeds": True}, "true and false are no value"),
        ({"studies.primary.splits": [{"protocol": "kfold", "folds": 10**9}]}, "equal to 1000"),
        ({"training.epochs": 10**9}, "equal to 1000000"),
        ({"training.epochs": True}, "true and false are no value"),
        ({"training.batch": 10**9}, "equal to 100000"),
        ({"dataset.cells": 10**12}, "equal to 100000"),
        ({"dataset.phases": []}, "at least 1 item"),
        ({"pixels.size": 10**6}, "equal to 10000"),
        ({"training.learning_rate": "inf"}, "finite number"),
        ({"training.learning_rate": "nan"}, "finite number"),
        ({"training.learning_rate": math.inf}, "finite one"),
        ({"loss.gamma": math.nan}, "finite one"),
        ({"loss.alpha": [-1, 1]}, "greater than or equal to 0"),
        ({"training.epochs": 10**5000}, "whole number beyond"),
        ({"a." * 5000 + "a": 1}, "it is too long"),
        ({"studies.ablation.variants": {"A+": {}, "A-": {}}}, "would share files"),
        ({"studies.ablation.variants": {"two\nlines": {}}}, "is no name"),
        ({"studies.ablation.variants": {"x" * 300: {}}}, "is no name"),
        ({"training": {1: 2}}, "is no name"),
        ({"training.epochs": {1, 2}}, "holds a set"),
        ({"training.epochs": b"3"}, "holds a bytes"),
        ({"profile": "../elsewhere"}, "A profile's name is '../elsewhere'"),
        ({"training.epochs": "\ud800"}, "not Unicode"),
        ({"profile": None}, "A profile's name is 'None', which is no text"),
        ({"profile": 3}, "A profile's name is '3', which is no text"),
        ({"profile": ["demo"]}, "which is no text"),
        (
            {"training.epochs": 2, "training": {"epochs": 4, "batch": 4}},
            "write the one or the other",
        ),
        (
            {"training": {"epochs": 4, "batch": 4}, "training.epochs": 2},
            "write the one or the other",
        ),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "setting",
)
def test_settings_beyond_reason_are_refused_by_name_before_any_list_is_made(overrides, message):
    with pytest.raises(RequestError, match=message) as refused:
        load_config("demo", overrides)
    assert len(str(refused.value)) < 2000


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"training.learning_rate": NaN}', "NaN is no number"),
        ('{"training.learning_rate": -Infinity}', "-Infinity is no number"),
        ('{"training.learning_rate": 1e999}', "no number"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": ' + "[" * 100_000, "too deeply|not JSON"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "32 deep"),
        (f'{{"a": {"9" * 5000}}}', "not JSON|beyond"),
        ('{"a": "\\ud800"}', "not Unicode"),
        (5, "overrides is 5"),
        (0, "overrides is 0"),
        ([1], "overrides is"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_json_that_no_setting_needs_is_refused(text, message):
    with pytest.raises(RequestError, match=message):
        parse_overrides(text)


def test_a_profile_that_is_no_short_text_is_refused(tmp_path):
    path = tmp_path / "odd.yml"
    for content, message in (
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b"# " + b"x" * 2**21, "characters; 262,144 are read|not valid"),
        (b"dataset: 1\ndataset: 2", "line 2, has the key 'dataset' a second time"),
        (b"- 1", "holds no settings"),
    ):
        path.write_bytes(content)
        with pytest.raises(RequestError, match=message):
            load_config(str(path))
    for name in ("my profile.yml", "con.yml", "ü.yml", f"{'x' * 90}.yml"):
        other = tmp_path / name
        other.write_bytes(PROFILE.read_bytes())
        with pytest.raises(RequestError, match="The name of the profile"):
            load_config(str(other))
    marked = tmp_path / "marked.yml"
    marked.write_bytes(b"\xef\xbb\xbf" + PROFILE.read_bytes())
    assert load_config(str(marked)).profile == "marked"


@pytest.mark.parametrize(
    "profile", ["", "../params/demo", "/", "x" * 300, f"{'x' * 300}.yml", ".yml", "\x00.yml", 2024]
)
def test_a_name_that_is_no_profile_is_said_so(profile):
    with pytest.raises(RequestError, match=r"There is no profile .*; the profiles are cpu, demo"):
        load_config(profile)


def test_values_of_p_are_read_as_those_of_a_profile():
    given_texts = ["training.batch=016", "training.learning_rate=1e-4", "model.backbone=no"]
    values = {"training.batch": 16, "training.learning_rate": 1e-4, "model.backbone": "no"}
    assert cli._settings(given_texts) == values
    for texts, message in (
        (["a=1", "a=2"], "given twice"),
        (["a=.inf"], "-p a, line 1, holds .inf"),
        (["a={b: 1, b: 2}"], "a second time"),
        (["a=["], "not valid YAML"),
        (["a"], "has no value"),
    ):
        with pytest.raises(RequestError, match=message):
            cli._settings(texts)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"minutes": math.nan}, "--minutes nan is no limit"),
        ({"minutes": math.inf}, "--minutes inf is no limit"),
        ({"minutes": -1}, "--minutes -1 is no limit"),
        ({"jobs": 10**9}, "--jobs 1000000000 is too many"),
        ({"jobs": 0}, "--jobs 0 is too few"),
        ({"threads": 10**9}, "--threads 1000000000 is too many"),
    ],
)
def test_numbers_of_workers_have_bounds(change, message):
    given_values = {"jobs": 1, "threads": None, "dask": None, "minutes": None, **change}
    with pytest.raises(RequestError, match=message):
        cli._workers(Namespace(**given_values))


@pytest.mark.parametrize(
    "name, text",
    [
        ("LCC_JOBS", "many"), ("LCC_JOBS", "0"), ("LCC_JOBS", "1000000"), ("LCC_JOBS", "9" * 5000),
        ("LCC_DEADLINE", "nan"), ("LCC_DEADLINE", "inf"), ("LCC_DEADLINE", "soon"),
    ],
    ids=lambda value: value[:40],
)  # fmt: skip
def test_workers_of_the_environment_are_refused_by_name(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(RequestError, match=f"{name} is .* in the environment"):
        Workers.from_environment()


def test_workers_of_the_environment_are_those_that_were_set(monkeypatch):
    for name in ("LCC_JOBS", "LCC_DASK", "LCC_DEADLINE"):
        monkeypatch.setenv(name, "")
    assert Workers.from_environment() == Workers()
    Workers(jobs=3, deadline=1e9).to_environment()
    assert Workers.from_environment() == Workers(jobs=3, deadline=1e9)


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "a/b", "../x", "/x", "a\\b", ".hidden", "-x", "a b", "a\nb", "a\x00b", "ä",
        "x" * 101, "x" * 300, "con", "NUL", "com1", "lpt9.txt", "aux.", "x.", "~", "$HOME", "a:b",
    ],
    ids=lambda name: repr(name)[:40],
)  # fmt: skip
def test_a_name_that_is_no_plain_name_does_not_become_a_path(name):
    with pytest.raises(RequestError, match=r"The name of the run is .*; allowed are"):
        checked_name(name, "The name of the run")


def test_plain_names_are_taken_and_free_texts_become_plain():
    for name in ("demo-1a2b3c4d", "2024", "v1.2_x", "console", "x" * 100):
        assert checked_name(name, "The name of the run") == name
    assert slug("EfficientNetV2-B0, 20 % noise ") == "efficientnetv2-b0-20-noise"
    assert slug("../..") == ""


def test_parameters_of_notebooks_that_became_numbers_are_texts():
    assert given_text(2024, "run") == "2024"
    assert given_text(1.5, "run") == "1.5"
    assert given_text(None, "run") is None
    for value in (True, [1], {}):
        with pytest.raises(RequestError, match="The parameter run is"):
            given_text(value, "The parameter run")


TOKENS = st.sampled_from(
    [
        b"&a", b"*a", b"*official", b"<<: *regression", b"!!binary ", b"!!python/none ", b"!",
        b"[", b"]", b"{", b"}", b": ", b"- ", b"\n", b"\t", b"\x00", b"\xff", b"---\n", b"...\n",
        b"'", b'"', b"|\n", b"#", b"016", b".inf", b".nan", b"1e999", b"yes", b"null", b"1" * 60,
        b"-1", b"0", b"true", b"../x", b"2001-01-01", b"[[[[[[[[[[", b"seeds: 1000000000",
    ]
)  # fmt: skip
CHANGES = st.lists(
    st.tuples(st.integers(0, 2**16), st.integers(0, 30), st.one_of(TOKENS, st.binary(max_size=4))),
    min_size=1,
    max_size=4,
)


def mutated(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Replace a few bytes here and there."""
    for place, length, new in changes:
        place %= len(content) + 1
        content = content[:place] + new + content[place + length :]
    return content


def finite(value) -> bool:
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


@settings(max_examples=150, deadline=None)
@given(CHANGES)
def test_a_changed_profile_gives_settings_or_one_of_our_errors(changes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed.yml"
        path.write_bytes(mutated(PROFILE.read_bytes(), changes))
        try:
            config = load_config(str(path))
        except LccError:
            pass
        else:
            assert isinstance(config, RunConfig)
            assert finite(config.model_dump(mode="json"))
            assert sum(study.experiments for study in config.studies.values()) <= 20_000


OVERRIDES = json.dumps(
    {
        "training.epochs": 3, "training.learning_rate": 1e-3, "model.attention": True,
        "studies.ablation.seeds": [4, 5], "studies.ablation.variants": {"full": {"loss.gamma": 1}},
    }
).encode()  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(CHANGES)
def test_changed_overrides_give_settings_or_one_of_our_errors(changes):
    text = mutated(OVERRIDES, changes).decode(errors="surrogateescape")
    try:
        config = load_config("demo", parse_overrides(text))
    except LccError:
        pass
    else:
        assert finite(config.model_dump(mode="json"))
