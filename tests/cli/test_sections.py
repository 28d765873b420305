"""Help in sections: every option stands in one of them, once."""

from __future__ import annotations

import pytest

from accelmodel.cli.app import Commands
from accelmodel.cli.sections import OTHERS, SECTIONS, Grouped


@pytest.mark.parametrize("command", ["step", "preserve", "instances", "fleet"])
def test_every_option_stands_in_a_section_once(run, command):
    found = Commands().get_command(None, command)
    assert isinstance(found, Grouped)
    told = run(f"{command} --help")[1]
    lines = [line.split()[0].strip(",") for line in told.splitlines() if line.startswith("  --")]
    assert sorted(lines) == sorted(each.opts[0] for each in found.params)
    alone = told[told.index(f"\n{OTHERS}:\n") : told.index("Example")]
    assert "--json" in alone
    assert "--tp" not in alone


def test_no_option_is_in_two_sections():
    everything = [name for names in SECTIONS.values() for name in names]
    assert len(everything) == len(set(everything))
