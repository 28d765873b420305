"""Blocks are smaller where software chooses among more."""

from __future__ import annotations

from accelmodel.dse.enumeration import blocksize
from accelmodel.dse.studies.study import load_study


def with_software(study, **more):
    return study.model_copy(update={"software": study.software.model_copy(update=more)})


def test_steps_are_counted_by_hand():
    study = load_study("preserve-l2")
    # six models, a prefill and four contexts of a decode; none, and preserve by four thresholds or left off
    assert blocksize.steps_of(study) == 6 * 5 * (1 + 5)
    assert blocksize.steps_of(with_software(study, tp=[4, 8], pp=[1, 2])) == 4 * 6 * 5 * (1 + 5)


def test_more_choices_make_smaller_blocks():
    study = load_study("preserve-l2")
    one = study.workload.model_copy(update={"models": ["llama-3-8b"], "phase": "decode"})
    fixed = with_software(study, threshold=[1.0]).model_copy(update={"workload": one})
    free = with_software(study, tp=[1, 2, 4, 8], pp=[1, 2, 4, 8])
    sizes = [blocksize.block_of(each) for each in (fixed, study, free)]
    assert sizes[0] >= 2**19 > sizes[1] > sizes[2] >= blocksize.LEAST
    for each, size in zip((fixed, study), sizes, strict=False):
        assert size * blocksize.bytes_of(each) <= blocksize.ROOM
