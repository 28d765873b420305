"""What names a study: readable, and another name for whatever is behind a number."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import pytest
from studies import STUDY, small

from accelmodel.dse.search import digest as digests
from accelmodel.dse.search.digest import digest, name_of
from accelmodel.specs import facts

CHIP = """
[device]
like = "ascend-910b2"
[default]
kind = "datasheet"
source = "data-sheet"
locator = "page 1"
[sources.data-sheet]
title = "a chip"
[l2]
capacity = { value = 100, unit = "MB" }
"""


def test_the_name_is_read(tmp_path):
    assert re.fullmatch(r"tiny / throughput_per_area / [0-9a-f]{8}", name_of(*small(tmp_path)))


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('title = "tiny"', 'title = "another"\ntrials = 9', True),
        ('values = ["24"]', 'values = ["24.0"]', True),
        ('from = "8MB"', 'from = "8000kB"', True),
        ("l2_capacity =", "l2.capacity =", True),
        ("batch = [4]", "batch = [8]", False),
        ('to = "256MB"', 'to = "128MB"', False),
        ('step = "8MB"', 'step = "16MB"', False),
        (', step = "8MB"', "", False),
        ('die_area = "700mm2"', 'die_area = "600mm2"', False),
        ("weight_bits = 8", "weight_bits = 16", False),
        ('models = ["llama-3-8b"]', 'models = ["llama-3-70b"]', False),
        ("threshold = [1.0]", "threshold = [0.9]", False),
        ('title = "tiny"', 'title = "tiny"\nobjective = "tokens_per_dollar"', False),
        ('title = "tiny"', 'title = "tiny"\nobjectives = ["throughput_per_area", "price"]', False),
    ],
)
def test_the_digest_is_of_what_is_behind_a_number(tmp_path, old, new, same):
    assert old in STUDY
    before, after = digest(*small(tmp_path)), digest(*small(tmp_path, STUDY.replace(old, new)))
    assert (before == after) is same


def test_the_place_of_a_study_is_not_behind_a_number(tmp_path):
    found = set()
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "chip.toml").write_text(CHIP, encoding="utf-8")
        found.add(digest(*small(folder, STUDY.replace('device = "ascend-910b2"', 'device = "chip.toml"'))))
    assert len(found) == 1


@pytest.mark.parametrize("kind", ["device", "fitted", "link", "process", "bill", "model", "version"])
def test_whatever_is_edited_starts_a_new_study(tmp_path, kind, monkeypatch):
    """Also where only what the file names was edited, and what was fitted to it."""
    shipped = {"link": "links/hccs-mesh-8", "process": "processes/smic-7nm", "bill": "bills/ascend-910b"}
    for part, name in {**shipped, "model": "models/llama-3-8b"}.items():
        shutil.copy(facts.root() / f"{name}.toml", tmp_path / f"own-{part}.toml")
    chip = CHIP.replace("[default]", 'link = "own-link.toml"\nprocess = "own-process.toml"\n[default]')
    (tmp_path / "chip.toml").write_text(chip, encoding="utf-8")
    text = STUDY.replace('device = "ascend-910b2"', 'device = "chip.toml"')
    text = text.replace('bill = "ascend-910b"', 'bill = "own-bill.toml"')
    text = text.replace('models = ["llama-3-8b"]', 'models = ["own-model.toml"]')
    before = digest(*small(tmp_path, text))
    if kind == "version":
        monkeypatch.setattr(digests, "__version__", "0.0.0")
    elif kind == "fitted":
        fitted = (
            '[l2]\nusable = { value = 0.5, kind = "calibrated", source = "user", locator = "x", range = [0.4, 0.6] }\n'
        )
        sourced = '[sources.user]\ntitle = "mine"\n'
        (tmp_path / "chip.calibrated.toml").write_text(sourced + fitted, encoding="utf-8")
    elif kind == "device":
        (tmp_path / "chip.toml").write_text(chip.replace("100", "120"), encoding="utf-8")
    else:
        with (tmp_path / f"own-{kind}.toml").open("a", encoding="utf-8") as file:
            file.write("\n# edited\n")
    assert digest(*small(tmp_path, text)) != before


def test_a_process_that_an_axis_names_is_behind_a_number(tmp_path):
    shutil.copy(facts.root() / "processes/smic-7nm.toml", tmp_path / "own-process.toml")
    axis = 'process = { values = ["smic-7nm", "PLACE/own-process.toml"] }\n[workload]'
    text = STUDY.replace("[workload]", axis.replace("PLACE", str(tmp_path)))
    before = digest(*small(tmp_path, text))
    with (tmp_path / "own-process.toml").open("a", encoding="utf-8") as file:
        file.write("\n# edited\n")
    assert digest(*small(tmp_path, text)) != before


def test_a_field_that_the_caller_replaced_is_behind_a_number(tmp_path):
    asked, parts = small(tmp_path)
    cheaper = replace(parts, process=replace(parts.process, wafer_price=parts.process.wafer_price / 2))
    assert digest(asked, cheaper) != digest(asked, parts)
