"""The accuracy table: rows of one form, and counts that agree with them."""

from __future__ import annotations

from accelmodel.validation import table


def test_rows_are_among_the_claims(warm):
    rows = [row for row in table.operator_rows() if row["kind"] == "memory-bound"]
    # three operators of LLMCompass on two chips, three of Vidur on two, norms of four chips
    assert len(rows) == 16
    assert all(set(table.KEYS) <= set(row) for row in rows)


def test_the_table_counts_what_its_rows_say(warm):
    """As many claims hold in the written table as in the rows, and each of its lines is a row."""
    rows = table.claim_rows()
    cells = table.claim_cells(rows)
    within = table._CLAIMS.index("within")
    assert sum(cell[within] == "yes" for cell in cells) == sum(row["within"] for row in rows)
    assert [cell[0] for cell in cells] == [row["claim"] for row in rows]
    ((title, columns, shown),) = table.parts({"rows": rows})
    assert (title, len(columns)) == ("Published claims", len(cells[0]))
    assert shown == cells
    written = table.validation_markdown({"rows": rows}).splitlines()
    assert sum(line.startswith("| ") for line in written) == 1 + len(rows)


def test_every_row_has_the_keys_and_an_error_of_its_own(warm):
    for row in table.claim_rows():
        assert set(table.KEYS) <= set(row)
        assert row["bias"] == row["relative_error"]
        assert row["median_ape"] == abs(row["relative_error"])
        assert row["split"] == ("calibrated" if row["calibrated_on_it"] else "validated")
