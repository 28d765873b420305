"""What a dashboard shows beside trials: what the study is, the answer in words as its note, figures, and files.

All of it is stored with the study as Optuna and optuna-dashboard store it, so that any tool of theirs shows it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from accelmodel import __version__
from accelmodel.costs.parts import Parts
from accelmodel.dse.enumeration.enumerated import Enumeration
from accelmodel.dse.search.digest import specs_of
from accelmodel.dse.search.parameters import SHOWN, labelled, shown, space_of, words_of
from accelmodel.dse.search.storage import Place, opened, worded
from accelmodel.dse.search.turns import turn
from accelmodel.dse.studies.objectives import LIMITED, OBJECTIVES, gain, sign
from accelmodel.dse.studies.study import Study
from accelmodel.inference.request import BASELINE
from accelmodel.specs.base import Spec

if TYPE_CHECKING:
    import optuna
    import plotly.graph_objects as go

#: user attribute of a study: the answer in words
ANSWER = "answer"
NO_FIGURES: Mapping[str, go.Figure] = MappingProxyType({})
#: largest figure that is stored with a study [B]
_FIGURE = 100_000


def facts_of(study: Study, parts: Parts, command: str = "") -> dict[str, Any]:
    """Return what is told of a study as its user attributes: question, chip, specifications with digests, command."""
    space = space_of(study)
    named = {each.name: getattr(parts, each.name) for each in fields(parts)}
    found: dict[str, Any] = {"question": study.study.title}
    found |= {words_of(name): part.name for name, part in named.items() if isinstance(part, Spec)}
    found["workload"] = "; ".join(
        f"{kind.label}: batch {_list(kind.batch)}, context {_list(kind.context)}, {kind.phase}, weight {kind.weight:g}"
        for kind in study.kinds()
    )
    found["objectives"] = ", ".join(
        f"{OBJECTIVES[name].direction} {OBJECTIVES[name].words}" for name in study.objectives
    )
    found["limits"] = ", ".join(_limit(name, value) for name, value in study.limits().items()) or "none"
    found["techniques"] = ", ".join(study.techniques)
    found["chips in the space"] = "any" if space.chips == float("inf") else int(space.chips)
    found["digests"] = ", ".join(f"{name} {spec.digest[:12]}" for name, spec in specs_of(study, parts).items())
    found["accelmodel version"] = __version__
    return {**found, **({"command": command} if command else {})}


def _list(values: Sequence[int]) -> str:
    return "/".join(f"{value:g}" for value in values)


def _limit(name: str, value: float) -> str:
    figure = name.partition(".")[0]
    unit = LIMITED[figure].unit
    least = "at least" if sign(figure) > 0.0 else "at most"
    return f"{words_of(name)} {least} {shown(value, unit):g} {SHOWN.get(unit, (unit,))[0]}".rstrip()


def looked_at(every: Enumeration) -> str:
    """Return what stands behind the best chips beside the trials, in words."""
    if every.plan.way == "none":
        return "those that were tried"
    if every.plan.way == "all":
        return f"all {every.evaluated:,} chips of the space"
    return f"{every.evaluated:,} of {every.chips:,} chips, drawn at random, and those that were tried"


def note_of(study: Study, best: Mapping[str, Mapping[str, Any]], seen: str, trials: Mapping[str, int]) -> str:
    """Return the answer in words, as Markdown.

    Parameters
    ----------
    study : Study
    best : mapping
        technique → the best chip's axes and figures, in SI.
    seen : str
        What stands behind ``best``; see ``looked_at``.
    trials : mapping
        technique → trials that are stored.
    """
    headline = study.headline
    unit = OBJECTIVES[headline].unit
    lines = [f"# {study.study.title}", "", f"The best chip by {OBJECTIVES[headline].words}, of {seen}:", ""]
    axes = list(study.axes().values())
    labels = [labelled(axis.name, axis.unit if axis.kind != "word" else "1") for axis in axes]
    lines.append(f"| technique | {labelled(headline, unit)} | {' | '.join(labels)} |")
    lines.append("|" + "---|" * (len(labels) + 2))
    for technique, row in best.items():
        cells = [_cell(row[axis.name], axis.unit) for axis in axes]
        lines.append(f"| {technique} | {_cell(row[headline], unit)} | {' | '.join(cells)} |")
    if BASELINE in best and study.candidate in best and study.candidate != BASELINE:
        ratio = gain(headline, best[study.candidate][headline], best[BASELINE][headline])
        lines += ["", f"{study.candidate} gains {ratio:.3f} over {BASELINE}, each at the chip that suits it best."]
    told = ", ".join(f"{count} of {name}" for name, count in trials.items())
    limits = ", ".join(_limit(name, value) for name, value in study.limits().items())
    lines += ["", f"Limits: {limits or 'none'}. Trials stored here: {told}."]
    return "\n".join(lines)


def _cell(value: Any, unit: str) -> str:
    return value if isinstance(value, str) else f"{shown(value, unit):.6g}"


def publish(
    place: Place,
    name: str,
    note: str,
    figures: Mapping[str, go.Figure] = NO_FIGURES,
    files: Sequence[Path] = (),
    answer: str = "",
) -> None:
    """Store the note of a study, its figures, and files as artifacts; what was stored before is replaced.

    ``answer``, one sentence, is a user attribute; note and figures are of ``optuna-dashboard`` and are left out where
    it is not installed.

    Raises
    ------
    SpecError, OSError
        If the storage is none, or cannot be written.
    """
    import optuna

    with worded(place), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is experimental
        kept = optuna.load_study(study_name=name, storage=opened(place))
        with turn(place):
            if answer:
                kept.set_user_attr(ANSWER, answer)
            _show(kept, note, figures)
            for file in files:
                _save_file(kept, artifacts(place), file)


def _show(kept: optuna.Study, note: str, figures: Mapping[str, go.Figure]) -> None:
    """Store what only optuna-dashboard shows, where it is installed."""
    try:
        import optuna_dashboard
    except ImportError:
        return
    if optuna_dashboard.get_note(kept) != note:
        optuna_dashboard.save_note(kept, note)
    for name, figure in figures.items():
        if len(figure.to_json()) <= _FIGURE:
            optuna_dashboard.save_plotly_graph_object(kept, figure, graph_object_id=name)


def artifacts(place: Place) -> Path:
    """Return the folder of a storage's artifacts: beside its file, of a server in the working directory."""
    return Path(f"{place.path}-artifacts" if place.path is not None else "accelmodel-artifacts")


def _save_file(kept: optuna.Study, folder: Path, file: Path) -> None:
    """Store a file as an artifact; one of the same name is replaced, so that a study has its report once."""
    from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact

    folder.mkdir(parents=True, exist_ok=True)
    store = FileSystemArtifactStore(folder)
    for held in get_all_artifact_meta(kept):
        if held.filename == file.name:
            with file.open("rb") as content:
                store.write(held.artifact_id, content)
            return
    upload_artifact(artifact_store=store, file_path=str(file), study_or_trial=kept)
