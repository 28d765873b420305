"""The changelog is in releases, an entry is one short line, and counts agree everywhere they stand."""

from __future__ import annotations

import re
from pathlib import Path

from accelmodel.cli.site import pages, tables
from accelmodel.cli.site.markdown import tables as tables_of

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = {"Added", "Changed", "Changed predictions", "Fixed", "Removed", "Deprecated"}
#: characters of an entry
LONGEST = 200


def test_entries_are_single_lines_of_bounded_length():
    for line in CHANGELOG.splitlines():
        assert len(line) <= LONGEST, line
    body = CHANGELOG.partition("\n## ")[2]
    for line in body.splitlines()[1:]:
        assert not line or line.startswith(("- ", "## ", "### ")), f"an entry goes on in a second line: {line}"


def test_releases_say_what_was_added_and_what_moved():
    releases = re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]
    assert releases
    for release in releases:
        found = re.findall(r"^### (.*)$", release, flags=re.MULTILINE)
        assert set(found) <= SECTIONS
        assert len(found) == len(set(found))
        assert {"Added", "Changed predictions"} <= set(found)


def test_counts_of_claims_agree_everywhere():
    met, every = tables.claim_counts()
    rows = tables_of((ROOT / "reports" / "accuracy.md").read_text(encoding="utf-8"))["Published claims"]
    assert (met, every) == (sum(row["within"] == "yes" for row in rows), len(rows))
    assert f"{met} of {every} published claims are met" in README
    texts = {**pages.texts(), "README": README, "CHANGELOG": CHANGELOG}
    for name, text in texts.items():
        for told in re.findall(r"(\d+) of (\d+)(?=[^.|]{0,30}\b(?:claims|are met)\b)", text):
            assert told == (str(met), str(every)), f"{name}: {' of '.join(told)}"


def test_the_readme_tells_the_errors_of_whole_servers_that_the_report_has():
    rows = tables_of((ROOT / "reports" / "servers.md").read_text(encoding="utf-8"))["Other measurements"]
    dense = {word: next(row for row in rows if row["kind"] == f"dense {word} all") for word in ("tpot", "ttft")}
    told = re.search(r"(\d+) points of dense models: ([\d.]+) % in the time per token,\s+(\d+) % in the time", README)
    assert told
    assert told[1] == dense["tpot"]["rows"]
    assert float(told[2]) == float(dense["tpot"]["median"].rstrip("%"))
    assert float(told[3]) == round(float(dense["ttft"]["median"].rstrip("%")))


def test_the_readme_is_short():
    assert len(README.encode()) <= 6500
