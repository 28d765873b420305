"""Disaggregated serving: cases by hand, and the code without compilation."""

from __future__ import annotations

import numpy as np
import pytest

from accelmodel.laws.kernels.disaggregated import serve_disaggregated
from accelmodel.serving.simulate import closed_loop


def served(users, requests, answer, step, servers, entry=0.0, law=serve_disaggregated):
    first, finish = np.zeros(requests), np.zeros(requests)
    traffic = closed_loop(users, requests, 16, answer)
    law(traffic, np.full(requests, 0.1), np.asarray(step), np.array(servers), entry, first, finish)
    return traffic.arrival, first, finish


def test_one_user_by_hand():
    """5 ms of entry, 100 ms of prompt, four further tokens of 10 ms; and again."""
    arrival, first, finish = served(1, 2, 5, [0.01], [1, 1], 0.005)
    assert first.tolist() == pytest.approx([0.105, 0.25])
    assert finish.tolist() == pytest.approx([0.145, 0.29])
    assert arrival.tolist() == pytest.approx([0.0, 0.145])


def test_prompts_queue_and_sequences_share_a_decode_worker():
    """The second prompt ends at 200 ms, when the first has done 10 of 20 tokens at 10 ms; then both take 20 ms each."""
    _, first, finish = served(2, 2, 21, [0.01, 0.02], [1, 1])
    assert first.tolist() == pytest.approx([0.1, 0.2])
    assert finish.tolist() == pytest.approx([0.4, 0.5])


def test_a_worker_for_each_user_makes_nobody_wait():
    _, first, finish = served(2, 2, 21, [0.01, 0.02], [2, 2])
    assert first.tolist() == pytest.approx([0.1, 0.1])
    assert finish.tolist() == pytest.approx([0.3, 0.3])


def test_compiled_is_plain_and_more_workers_are_never_slower():
    step = 0.01 + 0.001 * np.arange(12)
    few = served(12, 60, 30, step, [2, 1], law=serve_disaggregated.compiled())
    plain = served(12, 60, 30, step, [2, 1], law=serve_disaggregated.plain)
    assert few[2] == pytest.approx(plain[2], rel=1e-12)
    assert served(12, 60, 30, step, [3, 2])[2].max() < few[2].max()
