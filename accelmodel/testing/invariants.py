"""The invariants by name: what must hold of any chip, any model and any technique."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from accelmodel.testing import prompts, servers, steps
from accelmodel.testing.steps import Broken


class Invariant(NamedTuple):
    """What must hold: ``law`` takes a case and returns what breaks it; ``of`` says of which sort the case is."""

    law: Callable[[Any], Broken | None]
    of: str

    @property
    def words(self) -> str:
        """What must hold, in one line."""
        return (inspect.getdoc(self.law) or "").splitlines()[0]


#: name → what must hold; a new one is a function and a line here
INVARIANTS: dict[str, Invariant] = {
    "more-is-never-slower": Invariant(steps.more_is_never_slower, "step"),
    "more-memory-never-refuses": Invariant(steps.more_memory_never_refuses, "step"),
    "technique-is-never-slower": Invariant(steps.a_technique_is_never_slower, "step"),
    "no-collective-no-prefetch": Invariant(steps.prefetching_needs_collectives, "step"),
    "no-l2-no-prefetch": Invariant(steps.prefetching_needs_l2, "step"),
    "operators-add-up": Invariant(steps.operators_add_up, "step"),
    "numbers-are-sound": Invariant(steps.numbers_are_sound, "step"),
    "interval-holds-the-value": Invariant(steps.the_interval_holds_the_value, "step"),
    "weights-are-read": Invariant(steps.weights_are_read, "step"),
    "never-below-the-roofline": Invariant(steps.never_below_the_roofline, "step"),
    "more-work-is-never-faster": Invariant(steps.more_work_is_never_faster, "step"),
    "axis-is-its-points": Invariant(steps.an_axis_is_its_points, "step"),
    "nothing-loaded-all-computed": Invariant(prompts.nothing_loaded_is_all_computed, "stored"),
    "all-loaded-at-once": Invariant(prompts.all_loaded_at_once_is_loading_alone, "stored"),
    "nothing-beats-the-oracle": Invariant(prompts.nothing_beats_the_oracle, "stored"),
    "both-never-slower-than-one": Invariant(prompts.both_are_never_slower_than_one, "stored"),
    "faster-storage-never-slower": Invariant(prompts.faster_storage_is_never_slower, "stored"),
    "server-numbers-are-sound": Invariant(servers.a_server_gives_sound_numbers, "rented"),
    "more-requests-never-sooner": Invariant(servers.more_requests_are_never_done_sooner, "rented"),
    "faster-host-never-slower": Invariant(servers.a_faster_host_is_never_slower, "rented"),
}
