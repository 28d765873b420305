"""Options of ``step`` for vision and audio towers: how many images of which size, and how much sound."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

import typer

from accelmodel.errors import SpecError
from accelmodel.inference.towers import tower_of
from accelmodel.specs.language_model import LanguageModel

Images = Annotated[
    int, typer.Option("--images", min=0, help="Images of each sequence, whose tower a prefill runs, such as 2.")
]
ImageSize = Annotated[
    str | None,
    typer.Option("--image-size", help="Of one image in pixels, such as 1024x768; by default that of the model."),
]
AudioSeconds = Annotated[
    float,
    typer.Option("--audio-seconds", min=0.0, help="Sound of each sequence for its tower at prefill, such as 30."),
]
#: longest edge of an image [pixel]
_MOST = 100_000


def _edges(text: str) -> tuple[int, int]:
    """Return width and height of an image [pixel]."""
    found = re.fullmatch(r"\s*(\d+)\s*[xX×]\s*(\d+)\s*(px)?\s*", text)
    edges = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(0 < edge <= _MOST for edge in edges):
        raise SpecError(f"--image-size {text!r}: must be width and height in pixels up to {_MOST}, such as 1024x768")
    return edges


def towers_asked(
    model: LanguageModel, context: int, images: int, image_size: str | None, audio_seconds: float
) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of a workload that its towers need, and what to say of them.

    Raises
    ------
    SpecError
        If the model has no such tower, neither it nor the question says how large an image is, or ``context`` does not
        hold the tokens that come out.
    """
    work: dict[str, Any] = {}
    notes: list[str] = []
    total = 0
    if image_size and not images:
        raise SpecError("--image-size is of --images: say how many, such as --images 1")
    if images:
        tower = tower_of(model, "vision")
        if not (image_size or tower.image):
            raise SpecError(f"{model.name} takes images of any size: give --image-size, such as 1024x1024")
        wide, high = _edges(image_size) if image_size else (int(tower.image), int(tower.image))
        patches = math.ceil(wide / tower.patch) * math.ceil(high / tower.patch)
        tokens = math.ceil(patches / tower.merged)
        total = images * tokens
        work |= {"images": images, "image_patches": patches}
        notes.append(
            f"the vision tower is in this step: an image of {wide} x {high} px is {patches} patches, which become "
            f"{tokens} tokens; --context holds those of all {images} a sequence"
        )
    if audio_seconds:
        tower = tower_of(model, "audio")
        work["audio_seconds"] = audio_seconds
        frames = audio_seconds * tower.frames
        heard = math.ceil(frames / tower.merged)
        total += heard
        notes.append(
            f"the audio tower is in this step: {audio_seconds:g} s are {frames:g} frames, which become {heard} tokens; "
            "--context holds them"
        )
    if total > context:
        raise SpecError(f"--context {context} is below the {total} tokens that images and sound become; raise it")
    return work, notes
