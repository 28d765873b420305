"""Files that anybody may get wrong: whatever is changed in them, the answer is finite or an error that explains."""

from __future__ import annotations

import copy
import dataclasses
import math
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelmodel as am
from accelmodel.costs.parts import closed, parts_of
from accelmodel.dse.enumeration import enumerate as enumeration
from accelmodel.dse.evaluation.chip import design
from accelmodel.errors import Infeasible, SpecError
from accelmodel.specs import facts
from accelmodel.sweeps.question import load_sweep

EXAMPLES = 150
FILES = {
    "device": "devices/ascend-910b2.toml",
    "link": "links/hccs-mesh-8.toml",
    "process": "processes/smic-7nm.toml",
    "bill": "bills/ascend-910b.toml",
    "model": "models/mixtral-8x7b.toml",
    "latent": "models/deepseek-v3.toml",
    "study": "studies/preserve-l2.toml",
    "sweep": "sweeps/l2-that-pays.toml",
}
TEXTS = {kind: (facts.root() / path).read_text(encoding="utf-8") for kind, path in FILES.items()}
TEXTS["latent"] = TEXTS["latent"].replace("layers = 61", "layers = 4", 1)  # so that it fits on two devices
UNITS = ("B", "GB", "GiB/s", "TFLOP/s", "us", "ns", "mm2", "W", "USD", "1", "%", "Hz", "parsec", "", "mm2/MB")
SCALARS = st.one_of(
    st.sampled_from([0, 1, -1, 2, 7, 8, 10**9, 10**30, 16**5000, 0.5, -0.0, 1e-300, 1e300]),
    st.integers(-(10**12), 10**12),
    st.floats(),
    st.booleans(),
    st.text(max_size=12),
    st.sampled_from(["mesh", "ring", "8MB", "-8MB", "1e999B", "a/b", "a\0/b", "x.toml", "preserve", "llama-3-8b"]),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.text("abvu", min_size=1, max_size=5), SCALARS, max_size=2),
)


def literal(value) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return hex(value) if value > 10**20 else str(value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else repr(value)
    if isinstance(value, str):
        escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[" + ", ".join(literal(each) for each in value) + "]"
    return "{ " + ", ".join(f"{literal(key)} = {literal(each)}" for key, each in value.items()) + " }"


def written(tree: dict) -> str:
    """Return tables of values as TOML."""
    lines = []
    for name, table in tree.items():
        if isinstance(table, dict):
            lines += [f"[{literal(name)}]", *(f"{literal(key)} = {literal(value)}" for key, value in table.items())]
        else:
            lines.insert(0, f"{literal(name)} = {literal(table)}")
    return "\n".join(lines) + "\n"


def places(tree, path=()):
    """Yield the path of every key."""
    for key, value in tree.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))


@st.composite
def changed_trees(draw, kind):
    """The file with one to three keys deleted, replaced, added or given another unit."""
    tree = copy.deepcopy(tomllib.loads(TEXTS[kind]))
    for _ in range(draw(st.integers(1, 3))):
        *above, key = draw(st.sampled_from(sorted(places(tree))))
        table = tree
        for name in above:
            table = table[name]
        change = draw(st.sampled_from(["delete", "replace", "value", "unit", "add"]))
        if change == "delete":
            del table[key]
        elif change == "add":
            table[draw(st.text("abxyz_", min_size=1, max_size=8))] = draw(VALUES)
        elif change == "replace" or not isinstance(table[key], dict):
            table[key] = draw(VALUES)
        elif change == "value":
            table[key]["value"] = draw(SCALARS)
            table[key].pop("range", None) if draw(st.booleans()) else None
        else:
            table[key]["unit"] = draw(st.sampled_from(UNITS))
        if not tree:
            break
    return written(tree).encode()


@st.composite
def changed_texts(draw, kind):
    """The file with a line twice, cut short, with bytes put in, or with one character changed."""
    raw = TEXTS[kind].encode()
    at = draw(st.integers(0, len(raw) - 1))
    change = draw(st.sampled_from(["cut", "insert", "line", "swap", "digit"]))
    if change == "cut":
        return raw[:at]
    if change == "insert":
        return raw[:at] + draw(st.binary(min_size=1, max_size=4)) + raw[at:]
    if change == "line":
        lines = raw.splitlines(keepends=True)
        line = draw(st.integers(0, len(lines) - 1))
        return b"".join([*lines[: line + 1], *lines[line:]])
    if change == "digit":
        digits = [i for i, byte in enumerate(raw) if chr(byte).isdigit()]
        where = draw(st.sampled_from(digits))
        return raw[:where] + draw(st.sampled_from([b"9", b"0", b"-1", b"1e9", b"1" * 5000])) + raw[where + 1 :]
    return raw[:at] + bytes([draw(st.integers(0, 255))]) + raw[at + 1 :]


def answer(kind: str, path: str) -> list[float]:
    """Load the file and use it: every number that comes out."""
    kind = "model" if kind == "latent" else kind
    if kind == "study":
        study = am.load_study(path)
        return [float(len(study.axes())), float(enumeration.size(study)), *study.constraints.limits().values()]
    if kind == "sweep":
        question = load_sweep(path)
        return [float(question.points), *(float(len(axis.values)) for axis in question.axes)]
    spec = am.load(kind, path)
    if kind in ("process", "bill"):
        parts = parts_of("ascend-910b2")
        parts = dataclasses.replace(parts, **{kind: spec})
        _, figures = design(dataclasses.replace(parts, bill=closed(parts)))
        return [float(value) for value in figures.values()]
    chip = spec if kind == "device" else am.load("device", "ascend-910b2")
    model = spec if kind == "model" else am.load("model", "llama-3-8b")
    cluster = am.cluster(chip, link=spec if kind == "link" else None)
    work = am.workload(phase="decode", batch=2, context=64, tp=2)
    result = am.time_step(model, cluster, work, am.policy("preserve"))
    assert result.step_time.item() > 0.0
    return [float(result[name]) for name in ("step_time", "tokens_per_s", "prefetched_bytes", "memory_bytes")]


def check(kind: str, raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.toml"
        path.write_bytes(raw)
        try:
            numbers = answer(kind, str(path))
        except (SpecError, Infeasible):
            return
        assert all(math.isfinite(number) for number in numbers), numbers


@pytest.mark.parametrize("kind", FILES)
def test_the_file_itself_is_good(kind, warm, tmp_path):
    for raw in (TEXTS[kind], written(tomllib.loads(TEXTS[kind]))):
        path = tmp_path / "file.toml"
        path.write_text(raw, encoding="utf-8")
        assert all(math.isfinite(number) for number in answer(kind, str(path)))


@pytest.mark.parametrize("kind", FILES)
def test_changed_values_give_an_answer_or_an_explanation(kind, warm):
    @settings(max_examples=EXAMPLES)
    @given(raw=changed_trees(kind))
    def run(raw):
        check(kind, raw)

    run()


@pytest.mark.parametrize("kind", FILES)
def test_changed_text_gives_an_answer_or_an_explanation(kind, warm):
    @settings(max_examples=EXAMPLES)
    @given(raw=changed_texts(kind))
    def run(raw):
        check(kind, raw)

    run()


@pytest.mark.parametrize(
    "change",
    [
        ("value = 196", "value = " + "1" * 5000),
        ("value = 196", "value = 0x" + "f" * 5000),
        ("value = 196", "value = " + "[" * 3000 + "]" * 3000),
        ("value = 196", "value = 2026-01-01"),
        ("value = 196", "value = inf"),
        ('value = ["ring", "tree", "one-shot", "two-shot", "direct", "hierarchical"]', "value = []"),
    ],
    ids=["long", "hexadecimal", "deep", "date", "infinite", "no-algorithm"],
)
def test_values_that_broke_readers_before(change, tmp_path):
    assert change[0] in TEXTS["link"]
    path = tmp_path / "link.toml"
    path.write_text(TEXTS["link"].replace(*change), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        am.load("link", str(path))
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 400


def test_a_link_named_like_no_file_can_be(tmp_path):
    path = tmp_path / "device.toml"
    link = 'link = { value = "a\\u0000/b", kind = "paper", source = "ascend-writeups", locator = "x" }'
    path.write_text(f'[device]\nlike = "ascend-910b2"\n{link}\n', encoding="utf-8")
    with pytest.raises(SpecError):
        am.cluster(am.load("device", str(path)))
