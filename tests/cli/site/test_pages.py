"""The documentation is whole: a page for each law, command, kind of file and exported name; links lead somewhere."""

from __future__ import annotations

import dataclasses
import posixpath
import re

import pytest

import accelmodel
from accelmodel.cli.app import COMMANDS
from accelmodel.cli.site import pages, tables
from accelmodel.cli.site.markdown import tables as tables_of
from accelmodel.cli.site.markdown import words
from accelmodel.dse.studies import axes, mix, study
from accelmodel.errors import SpecError
from accelmodel.nomenclature import NOMENCLATURE
from accelmodel.specs import prices
from accelmodel.specs.load import TYPES, field_units

TEXTS = pages.texts()
#: kinds of files that are no table of facts
OTHERS = ("architecture", "prices", "study", "sweep", "published")


@pytest.fixture(scope="module")
def every():
    return pages.pages()


@pytest.mark.parametrize("module", pages.law_modules())
def test_each_law_module_has_a_page_with_its_parts(module):
    assert f"laws/{module}" in TEXTS, f"write accelmodel/docs/laws/{module}.md"
    text = TEXTS[f"laws/{module}"]
    headings = " ".join(re.findall(r"^## (.*)$", text, flags=re.MULTILINE)).lower()
    for part in ("equation", "source", "validity", "accuracy", "functions"):
        assert part in headings or part == "functions", f"laws/{module}: no heading says {part}"
    assert f"<!-- functions {module} -->" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_page(name):
    assert f"commands/{name}" in TEXTS, f"write accelmodel/docs/commands/{name}.md"
    text = TEXTS[f"commands/{name}"]
    assert text.startswith(f"# accelmodel {name}\n")
    assert f"<!-- options {name} -->" in text
    assert "## JSON\n" in text
    assert re.search(rf"^accelmodel {name}\b", text, flags=re.MULTILINE)


@pytest.mark.parametrize("kind", [*TYPES, *OTHERS])
def test_each_kind_of_file_has_a_page(kind):
    assert f"schemas/{kind}" in TEXTS, f"write accelmodel/docs/schemas/{kind}.md"
    assert "## Fields" in TEXTS[f"schemas/{kind}"]


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "architecture"])
def test_each_field_is_named_and_described(kind):
    text = pages.fill(TEXTS[f"schemas/{kind}"])
    for name in set(field_units(TYPES[kind][1])) - {"name"}:
        rows = re.findall(rf"^\|(?=[^|]*`{re.escape(name)}`)(.*)\|\s*$", text, flags=re.MULTILINE)
        assert any(row.split("|")[-1].strip() for row in rows), f"{kind}.{name} has no meaning in hwspecs/README.md"


def test_each_field_of_a_study_and_column_of_a_price_list_is_named():
    text = TEXTS["schemas/study"].partition("## Fields")[2]
    named = {word.rpartition(".")[2] for word in words(text)}
    models = (study.Head, study.Serving, study.Software, study.Constraints, mix.Part)
    assert {field for model in models for field in model.model_fields} <= named
    assert set(axes.AXES) <= named
    assert {*prices.NEEDED, *prices.OPTIONAL} <= set(words(TEXTS["schemas/prices"]))


def test_each_exported_name_is_in_the_reference(every):
    for name in set(accelmodel.__all__) - {"__version__"}:
        assert f"accelmodel.{name}" in every[f"reference/{name}"]
        assert f"`am.{name} <{name}>`" in every["reference/index"]
    assert "`am.__version__`" in every["reference/index"]


def test_the_nomenclature_is_shown_whole(every):
    assert all(f"| `{name}` |" in every["units"] for name in NOMENCLATURE)


def test_references_between_pages_lead_somewhere(every):
    for name, text in every.items():
        for target in re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
            assert path in every, f"{name} refers to {target}"


def test_each_page_can_be_reached(every):
    index = set(re.findall(r"^([a-z]+/[a-z]+|[a-z]+)$", every["index"], flags=re.MULTILINE))
    for name in every:
        folder = name.partition("/")[0]
        assert name == "index" or name in index or f"{folder}/index" in index or "orphan: true" in every[name], name


def test_no_page_asks_for_what_is_not_there(every):
    for name, text in every.items():
        assert "{{" not in text, f"{name}: a placeholder is left"
        assert not re.search(r"^<!-- (?!output)", text, flags=re.MULTILINE), f"{name}: a mark is left"
    with pytest.raises(SpecError, match="accuracy"):
        pages.fill("<!-- acuracy matmul -->")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_says_what_it_does(name):
    rows = tables_of(f"## x\n\n{tables.options(name)}\n").get("x", [])
    for row in rows:
        assert row["meaning"], f"accelmodel {name}: {row['option']} has no help"


def test_the_accuracy_of_a_kernel_spans_its_rows():
    rows = tables_of((tables.reports() / "accuracy.md").read_text(encoding="utf-8"))["Measured kernels"]
    own = [row for row in rows if (row["kind"], row["device"], row["precision"]) == ("matmul", "h100-sxm", "16 bit")]
    medians = sorted(float(row["median"].rstrip("%")) for row in own if "not fitted" not in row["source"])
    line = next(line for line in tables.accuracy("matmul").splitlines() if "| h100-sxm | 16 bit | yes |" in line)
    assert f"| {medians[0]:.3g} to {medians[-1]:.3g} % |" in line


def test_transfer_is_the_mean_of_fitted_sources_by_rows():
    shown = tables_of(f"## x\n\n{tables.transfer()}\n")["x"]
    line = next(row for row in shown if row["device"] == "h100-sxm")
    told = []
    for name in ("transfer", "accuracy"):
        rows = tables_of((tables.reports() / f"{name}.md").read_text(encoding="utf-8"))["Measured kernels"]
        ours = [
            row for row in rows if (row["device"], row["kind"], row["precision"]) == ("h100-sxm", "matmul", "16 bit")
        ]
        fitted = [row for row in ours if "not fitted" not in row["source"]]
        many = [float(row["rows"].replace(",", "")) for row in fitted]
        medians = [float(row["median"].rstrip("%")) for row in fitted]
        told.append(sum(n * x for n, x in zip(many, medians, strict=True)) / sum(many))
    assert [float(each) for each in line["matmul, 16 bit [%]"].split(" / ")] == pytest.approx(told, abs=0.5)


def test_defaults_of_fields_are_those_of_the_class():
    shown = tables_of(f"## x\n\n{tables.fields('link')}\n")["x"]
    told = {row["field"].strip("`"): row["default"] for row in shown}
    for field in dataclasses.fields(TYPES["link"][1]):
        if field.name in told and isinstance(field.default, float):
            assert float(told[field.name]) == field.default
