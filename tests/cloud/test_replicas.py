"""The largest rate of requests that a server keeps its service level at."""

from __future__ import annotations

from builders import FLAT, RULES

from accelmodel.cloud.replicas import largest_rate, seen
from accelmodel.serving.serve import Replica


def test_largest_rate_is_where_the_service_level_breaks():
    replica = Replica(FLAT, RULES._replace(max_num_seqs=1))

    def met(reached):
        return reached["ttft_s"] <= 0.05

    rate = largest_rate(replica, 1000.0, 16, 1, 95.0, met)
    assert 50.0 < rate < 100.0  # one slot serves 100 requests a second, and some must wait
    assert met(seen(replica, rate, 16, 1, 95.0))
    assert not met(seen(replica, rate * 1.2, 16, 1, 95.0))
