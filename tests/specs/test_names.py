"""Fields by dotted names, in one word, and by the names of earlier versions."""

from __future__ import annotations

from pathlib import Path

import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.specs import find, names
from accelmodel.specs.base import field_types, field_units, sections, value_of
from accelmodel.specs.cloud import Engine
from accelmodel.specs.hardware import FLAT, Device
from accelmodel.specs.link import Link
from accelmodel.specs.load import load


def test_every_field_in_a_section_has_one_name_of_one_word():
    inside = {name for name in field_units(Device) if name.partition(".")[0] in sections(Device)}
    assert set(FLAT.values()) == inside
    assert len(FLAT) == len(inside)
    assert not FLAT.keys() & {name for name in field_units(Device) if "." not in name}
    assert FLAT["l2_capacity"] == "l2.capacity"
    assert FLAT["attention_time"] == "attention.time"
    assert FLAT["softmax_width"] == "attention.softmax_width"
    assert FLAT["hbm_share"] == "hbm.share"
    assert FLAT["cores"] == "compute.cores"


def test_a_device_is_read_by_both_names():
    chip = am.load("device", "a100-sxm-80gb")
    for word, name in FLAT.items():
        assert getattr(chip, word) == value_of(chip, name)
        assert names.flat(Device, name) == word
    with pytest.raises(AttributeError, match="no field 'l3_capacity'"):
        _ = chip.l3_capacity


@pytest.mark.parametrize("word", ["l2_capacity", "l2.capacity"])
def test_override_takes_both_names(word):
    chip = am.override(am.load("device", "a100-sxm-80gb"), {word: "104MB"})
    assert chip.l2.capacity == 104e6
    assert chip.facts["l2.capacity"].kind == "given"
    assert chip.compute is am.load("device", "a100-sxm-80gb").compute


def test_override_leaves_a_spec_without_what_was_measured_of_it():
    measured = am.load("device", "h100-sxm")
    assert measured.residuals
    assert am.override(measured, l2_ways=8).residuals == ()


@pytest.mark.parametrize(
    ("kind", "then", "now"),
    [
        (Device, "unhidden", "matmul.exposed"),
        (Link, "crowding", "contention"),
        (Link, "handshake", "rendezvous"),
        (Engine, "most_sequences", "max_num_seqs"),
        (Engine, "chunk", "max_num_batched_tokens"),
        (Engine, "memory_share", "gpu_memory_utilization"),
    ],
)
def test_names_of_earlier_versions_are_understood(kind, then, now):
    assert names.dotted(kind, then) == now
    assert then not in field_units(kind)


def test_the_table_of_former_names_holds_no_name_of_today():
    for kind, table in names.FORMER.items():
        spec_type = {"Device": Device, "Link": Link, "Engine": Engine}[kind]
        for then, now in table.items():
            assert then not in field_types(spec_type)
            assert names.canonical(spec_type, now)


def test_a_former_name_may_stand_in_its_section(tmp_path):
    chip = am.load("device", "l4")
    assert am.override(chip, {"matmul.unhidden": 0.5}).matmul.exposed == 0.5
    default = '[default]\nkind = "paper"\nsource = "s"\nlocator = "x"\n[sources.s]\ntitle = "x"\n'
    (tmp_path / "old.toml").write_text(f'{default}[device]\nlike = "l4"\n[matmul]\nunhidden = 0.5\n', encoding="utf-8")
    assert am.load("device", str(tmp_path / "old.toml")).matmul.exposed == 0.5
    with pytest.raises(SpecError, match=r"unknown field of Device 'l2\.unhidden'"):
        am.override(chip, {"l2.unhidden": 0.5})


def test_override_takes_former_names_and_words():
    chip = am.load("device", "a100-sxm-80gb")
    assert am.override(chip, unhidden=0.5) == am.override(chip, {"matmul.exposed": 0.5})
    link = am.load("link", "pcie4-x16")
    assert am.override(link, crowding=1.5) == am.override(link, contention=1.5)
    engine = am.load("engine", "flexgen")
    assert am.override(engine, host="beside").host == "overlapped"


def old(folder: Path, name: str, kind: str, renamed: dict[str, str]) -> Path:
    """Return a shipped file under the names of an earlier version."""
    text = find.path_of(kind, name).read_text(encoding="utf-8")
    for then, now in renamed.items():
        text = text.replace(f"\n{now} = ", f"\n{then} = ")
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_link_and_an_engine_of_earlier_versions_are_read(tmp_path):
    path = old(tmp_path, "nvlink5-rack", "link", names.FORMER["Link"])
    assert "handshake" in path.read_text(encoding="utf-8")
    assert am.load("link", str(path)) == am.load("link", "nvlink5-rack")
    for name in am.available("engine"):
        path = old(tmp_path, name, "engine", names.FORMER["Engine"])
        path.write_text(path.read_text(encoding="utf-8").replace('"overlapped"', '"beside"'), encoding="utf-8")
        assert am.load("engine", str(path)) == load("engine", name, fitted=False)


def flat_text(name: str) -> str:
    """Return a shipped device as a file of earlier versions: all fields under one table, in one word."""
    chip = am.load("device", name, fitted=False)
    lines = ['[default]\nkind = "paper"\nsource = "sheet"\nlocator = "x"\n[sources.sheet]\ntitle = "x"\n[device]']
    for field, kind in field_types(Device).items():
        value, word = value_of(chip, field), names.flat(Device, field)
        if field == "name":
            continue
        if kind.unit == "1":
            lines.append(f"{word} = {value!r}".replace("'", '"'))
        else:
            unit = {"1/s": "Hz"}.get(kind.unit, kind.unit)
            lines.append(f'{word} = {{ value = {value!r}, unit = "{unit}" }}')
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", ["h100-sxm", "tpu-v5e", "ascend-910b2"])
def test_a_device_of_earlier_versions_is_read(tmp_path, name):
    path = tmp_path / f"{name}.toml"
    text = flat_text(name).replace("exposed =", "unhidden =") + 'core_buffer = { value = 227, unit = "KiB" }\n'
    path.write_text(text, encoding="utf-8")
    chip = am.load("device", str(path))
    assert chip == am.load("device", name, fitted=False)
    assert chip.notes == ()
    assert not [field for field, fact in chip.facts.items() if fact.inherited]


def test_a_field_by_two_names_is_refused(tmp_path):
    path = tmp_path / "twice.toml"
    path.write_text(flat_text("l4") + '[l2]\ncapacity = { value = 5, unit = "MB" }\n', encoding="utf-8")
    with pytest.raises(SpecError, match=r"l2\.capacity: stands twice"):
        am.load("device", str(path))


@pytest.mark.parametrize(
    "text",
    [
        "[device]\nLIKE\n[device.l2]\nways = 8\n[l2]\nways = 4\n",
        '[device]\nLIKE\n"l2.ways" = 8\n[l2]\nways = 4\n',
        '[device]\nLIKE\n"l2.ways" = 8\nl2.ways = 4\n',
        '[device]\nLIKE\n"l2.ways" = 8\nl2_ways = 8\n',
    ],
)
def test_a_field_in_two_places_is_refused(tmp_path, text):
    path = tmp_path / "twice.toml"
    default = '[default]\nkind = "paper"\nsource = "s"\nlocator = "x"\n[sources.s]\ntitle = "x"\n'
    path.write_text(default + text.replace("LIKE", 'like = "l4"'), encoding="utf-8")
    with pytest.raises(SpecError, match=r"l2\.ways: stands twice.*; leave one out"):
        am.load("device", str(path))


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"l2.capacity": 1e6}, {"l2_capacity": 2e6}),
        ({"l2.capacity": 1e6, "l2_capacity": 2e6}, {}),
        ({"l2_capacity": 1e6}, {"l2_capacity": 1e6}),
        ({"matmul.exposed": 0.5}, {"unhidden": 0.6}),
    ],
)
def test_override_refuses_a_field_given_twice(changes, fields):
    with pytest.raises(SpecError, match=r"is given twice, as .* and as .*; leave one out"):
        am.override(am.load("device", "l4"), changes, **fields)


def test_a_section_may_stand_inside_the_table(tmp_path):
    path = tmp_path / "inside.toml"
    default = '[default]\nkind = "paper"\nsource = "s"\nlocator = "x"\n[sources.s]\ntitle = "x"\n'
    path.write_text(f'{default}[device]\nlike = "l4"\nl2.ways = 8\n', encoding="utf-8")
    assert am.load("device", str(path)).l2.ways == 8.0


def test_an_unknown_field_is_answered_with_the_closest():
    chip = am.load("device", "l4")
    with pytest.raises(SpecError, match=r"did you mean 'l2\.capacity'"):
        am.override(chip, {"l2.capacty": 1.0})
    with pytest.raises(SpecError, match="did you mean 'l2_capacity'"):
        am.override(chip, l2_capacty=1.0)
