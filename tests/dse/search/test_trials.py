"""What is stored of a chip is what is read back of it, whatever keeps it in its limits."""

from __future__ import annotations

from studies import STUDY, small

from accelmodel.dse.search.optimise import optimise

RULED = STUDY + '[rules]\nstacks_for_cores = "8 * hbm.stacks >= compute.cores"\n'


def test_a_study_with_a_rule_goes_on(tmp_path, warm):
    study, parts = small(tmp_path, RULED)
    storage = tmp_path / "a.db"
    assert optimise(study, parts, "preserve", storage, 3).trials == 3
    assert optimise(study, parts, "preserve", storage, 5).trials == 5
