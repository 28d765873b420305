"""The command ``validate``: keys of the rows, and the table that it writes."""

from __future__ import annotations


def test_validate(answer, tmp_path):
    data = answer("validate --claims --output table.md")
    keys = {"claim", "source", "published", "model", "relative_error", "tolerance", "within", "calibrated_on_it"}
    keys |= {"device", "kind", "precision", "n", "median_ape", "mean_ape", "p90_ape", "bias", "split"}
    assert len(data["rows"]) > 10
    assert all(keys <= set(row) for row in data["rows"])
    assert data["region"]["holds"] == len(data["region"]["points"])
    assert data["region"]["tested"] == 700
    table = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    titles = [line for line in table if line.startswith("## ")]
    assert titles == ["## Measured kernels", "## Published claims", "## Other measurements"]
    assert sum(line.startswith("| ") for line in table) == len(titles) + len(data["rows"])
