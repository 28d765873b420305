"""Routings of tokens to experts: by hand, and what every routing keeps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.measured import routing


def test_balanced_routing_by_hand():
    # 4 tokens to 2 of 8 experts each: strides of 4, so experts 0 to 3 and 4 to 7 get a token each
    assert routing.balanced(4, 8, 2).tolist() == [1] * 8
    # one token: experts 0 and 4
    assert routing.balanced(1, 8, 2).tolist() == [1, 0, 0, 0, 1, 0, 0, 0]
    # two tokens spread over the stride: 0, 4 and 2, 6
    assert routing.balanced(2, 8, 2).tolist() == [1, 0, 1, 0, 1, 0, 1, 0]
    assert routing.busiest(4, 8, 2, 4, 0.0) == (2.0, 2.0)


@given(st.integers(1, 3000), st.sampled_from([(8, 2), (128, 8), (16, 1), (256, 8)]), st.sampled_from([1.01, 1.2]))
def test_every_copy_goes_somewhere_and_no_expert_gets_a_token_twice(tokens, cut, exponent):
    experts, per_token = cut
    counts = routing.power_law(tokens, experts, per_token, exponent, np.random.default_rng(tokens))
    assert counts.sum() == tokens * per_token
    assert counts.min() >= 0
    assert counts.max() <= tokens


@given(st.integers(1, 2000), st.sampled_from([1, 2, 4, 8]))
def test_the_busiest_rank_has_at_least_its_share(tokens, ranks):
    active, copies = routing.busiest(tokens, 64, 4, ranks, 1.2)
    assert copies >= tokens * 4 / ranks - 1e-9  # a mean of whole numbers
    assert active <= min(64 / ranks, copies)
    assert routing.busiest(tokens, 64, 4, 1, 1.2)[1] == tokens * 4
