"""A study: the question that a design-space search answers, read from a TOML file.

``[space]`` axes of the chip; ``[rules]`` what holds between them; ``[workload]`` or ``[[mix]]`` what it must serve;
``[software]`` what is chosen anew for each chip and model; ``[constraints]`` what a chip must keep to; ``[study]``
chip, costs and objectives.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pydantic
from pydantic import Field

from accelmodel.dse.studies.axes import Axis, axis_name, role_of
from accelmodel.dse.studies.mix import Kind, Part, Serving, kinds
from accelmodel.dse.studies.objectives import LIMITED, OBJECTIVES, OF_ENERGY, OF_TRAFFIC
from accelmodel.dse.studies.ranges import Range, Table, faults, flattened
from accelmodel.dse.studies.rules import Rule, read_rule
from accelmodel.dse.studies.tables import Constraints, Head, Software, limit_of
from accelmodel.errors import SpecError, inside, listed, unknown
from accelmodel.inference.policies import TECHNIQUES
from accelmodel.inference.request import BASELINE, PHASES
from accelmodel.laws.prefetch import RULES
from accelmodel.specs import facts
from accelmodel.specs.find import path_of, seen_from
from accelmodel.specs.load import load

if TYPE_CHECKING:
    import accelmodel

#: objectives whose limit may be another for each model
PER_MODEL = ("ttft", "tpot")
_USUAL = "throughput_per_area"
#: the study that is asked where none is named
DEFAULT = "dollars-per-token"
#: figures that a rule may read beside axes
FIGURES = (*LIMITED, "area_cores", "area_l2", "area_hbm", "area_links", "silicon_area", "price_hbm", "price_die")


class Study(Table):
    """One design-space question; ``name`` is its file's stem and ``digest`` its content."""

    study: Head
    space: dict[str, Range]
    rules: dict[str, str] = Field(default_factory=dict)
    workload: Serving = Serving()
    mix: list[Part] = Field(default_factory=list)
    software: Software = Software()
    constraints: Constraints = Constraints()
    name: str = ""
    digest: str = ""

    @property
    def objectives(self) -> list[str]:
        """What chips are judged by, the headline first."""
        head = self.study
        return list(dict.fromkeys([*([head.objective] if head.objective else []), *(head.objectives or [])]))

    @property
    def headline(self) -> str:
        """The objective that the best chip is best by."""
        return self.objectives[0]

    def objective(self, technique: str = "", by_model: bool = False) -> accelmodel.ChipObjective:
        """Return the study as the objective of a loop of one's own in plain Optuna; see ``ChipObjective``.

        Parameters
        ----------
        technique : str, optional
            One of the study's; PRESERVE, or where it is not explored the last one, by default.
        by_model : bool
            Report the objective model by model, so that a pruner may end a trial.

        Raises
        ------
        SpecError
            If the study has no such technique, or there is nothing to report model by model.

        Examples
        --------
        >>> load_study("preserve-l2").objective("preserve").directions
        ['maximize', 'maximize']
        """
        import accelmodel

        return accelmodel.ChipObjective(self, technique, by_model)

    @property
    def mean(self) -> Literal["geometric", "traffic"]:
        """The mean over a mix: that asked, else of what a token costs where the headline is money or energy."""
        return self.workload.mean or ("traffic" if self.headline in OF_TRAFFIC else "geometric")

    @property
    def techniques(self) -> list[str]:
        """Names of the techniques that are explored; the baseline is among them."""
        return self.software.techniques

    @property
    def candidate(self) -> str:
        """The technique that answers of one number speak of: PRESERVE, or where it is not explored the last one."""
        others = [name for name in self.techniques if name != BASELINE]
        return "preserve" if "preserve" in others else [BASELINE, *others][-1]

    def axes(self) -> dict[str, Axis]:
        """Return name in results (``l2_capacity``) → axis."""
        return {axis.name: axis for axis in (each.axis(given) for given, each in self.space.items())}

    @property
    def axis(self) -> str | None:
        """The axis that is also looked at alone: that asked, L2, or the first of numbers; None where all are words."""
        axes = self.axes()
        if self.study.axis is not None:
            return axis_name(self.study.axis)
        numeric = [name for name, axis in axes.items() if axis.kind != "word"]
        return "l2_capacity" if "l2_capacity" in axes else next(iter(numeric), None)

    def kinds(self) -> list[Kind]:
        """Return the kinds of requests that a chip must serve."""
        return kinds(self.workload, self.mix, self.software.batch)

    @property
    def models(self) -> list[str]:
        """The models that are served, each once."""
        return list(dict.fromkeys(kind.model for kind in self.kinds()))

    def rules_read(self) -> list[Rule]:
        """Return the rules between axes and figures."""
        return [read_rule(name, text, FIGURES) for name, text in self.rules.items()]

    def limits(self) -> dict[str, float]:
        """Return figure → limit in SI; ``tpot.MODEL`` where it is of one model, or of one kind of request."""
        own = {
            f"{name}.{kind.label}": limit_of(name, getattr(part, name), f"mix.{place}.")
            for place, (part, kind) in enumerate(zip(self.mix, self.kinds() if self.mix else [], strict=True))
            for name in PER_MODEL
            if getattr(part, name) is not None
        }
        return {**self.constraints.limits(), **own}


def _named(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a study's content with each axis once, and with what it names as seen from here."""
    found = dict(content)
    if isinstance(space := content.get("space"), dict):
        found["space"] = flattened(space)
        seen: dict[str, str] = {}
        for given in found["space"]:
            try:
                name = axis_name(given)
            except SpecError as error:
                raise inside(facts.places(path, "study")("space"), error) from None
            if name in seen:
                raise SpecError(f"{path}: space.{given}: the same axis as space.{seen[name]}; leave one out")
            seen[name] = given
    for table, field, kind in (("study", "device", "device"), ("study", "bill", "bill"), ("study", "site", "site")):
        if isinstance(part := content.get(table), dict) and isinstance(part.get(field), str):
            found[table] = {**found[table], field: seen_from(path, kind, part[field])}
    serving = content.get("workload")
    if isinstance(serving, dict) and isinstance(models := serving.get("models"), list):
        known = [seen_from(path, "model", name) if isinstance(name, str) else name for name in models]
        found["workload"] = {**serving, "models": known}
    if isinstance(mix := content.get("mix"), list):
        found["mix"] = [
            {**part, "model": seen_from(path, "model", part["model"])}
            if isinstance(part, dict) and isinstance(part.get("model"), str)
            else part
            for part in mix
        ]
    head = found.get("study")
    if isinstance(head, dict) and "objective" not in head:
        several = head.get("objectives")
        found["study"] = {**head, "objective": several[0] if isinstance(several, list) and several else _USUAL}
    return found


def _check_names(study: Study) -> None:
    """Raise SpecError naming the field if a specification is not there, or a choice is given twice."""
    named = [("device", "study.device", study.study.device)]
    named += [("bill", "study.bill", study.study.bill)] if study.study.bill else []
    named += [("site", "study.site", study.study.site)]
    named += [("model", "workload.models", name) for name in study.workload.models]
    named += [("model", f"mix.{place}.model", part.model) for place, part in enumerate(study.mix)]
    for kind, field, name in named:
        try:
            load(kind, name)
        except SpecError as error:
            raise inside(field, error) from None
    claims = [path.stem for path in (facts.root() / "published").glob("*.toml")]
    if study.study.claims and study.study.claims not in claims:
        raise SpecError(f"study.claims: {unknown('file of published claims', study.study.claims, claims)}")
    lists = {
        "study": ("objectives",),
        "workload": ("models", "batch", "context"),
        "software": ("techniques", "batch", "tp", "pp", "ep", "dp", "threshold", "rule"),
    }
    for table, fields in lists.items():
        for field in fields:
            given = getattr(getattr(study, table), field) or []
            if len(set(given)) != len(given):
                raise SpecError(f"{table}.{field}: {given} holds a value twice; give each once")


def _check_limits(study: Study) -> None:
    """Raise SpecError if a limit is of a model that is not served, or of a latency that no request has."""
    phases = {kind.phase for kind in study.kinds()}
    labels = {name for kind in study.kinds() for name in (kind.label, kind.model)}
    for name in study.limits():
        figure, _, label = name.partition(".")
        if label and label not in labels:
            raise SpecError(f"constraints.{figure}: {unknown('model', label, labels)}")
        if figure == "tpot" and phases == {"prefill"}:
            raise SpecError("constraints.tpot: a prefill has no output tokens; limit ttft")
    if "tpot" in study.objectives and phases == {"prefill"}:
        raise SpecError("study.objectives: tpot: a prefill has no output tokens; ask for ttft")


def _check_rules(study: Study) -> None:
    """Raise SpecError if a rule is none, is called as a limit is, or reads what the study does not work out."""
    limits, phases = study.limits(), {kind.phase for kind in study.kinds()}
    asked = {*study.objectives, *limits}
    for rule in study.rules_read():
        _check_words(study, rule)
        if rule.name in (*limits, "memory") or "." in rule.name:
            raise SpecError(f"rules.{rule.name}: a limit is called so; choose another name")
        for name in {"ttft", "tpot", *OF_ENERGY} & set(rule.names) - asked:
            if (name == "tpot" and phases != {"prefill"}) or (name == "ttft" and "decode" not in phases):
                continue
            raise SpecError(f"rules.{rule.name}: {name} is not worked out; add it to study.objectives")


def _check_words(study: Study, rule: Rule) -> None:
    """Raise SpecError if a rule compares a word with what has none, or with one that it cannot have."""
    for name, word in rule.words():
        where = f"rules.{rule.name}"
        if name in FIGURES or not (kind := role_of(name).words):
            raise SpecError(f"{where}: {name} is a number, not {word!r}; compare it with a number in SI")
        axis = study.axes().get(name)
        if axis is not None and word not in axis.values:
            raise SpecError(f"{where}: {unknown(f'word of space.{axis.full}', word, axis.values)}")
        try:
            load(kind, word)
        except SpecError as error:
            raise inside(where, error) from None


def _check(study: Study, path: str) -> Study:
    try:
        checks: list[tuple[str, str, Any, Any]] = [
            *(("study.objectives: ", "objective", name, OBJECTIVES) for name in study.objectives),
            ("workload.phase: ", "phase", study.workload.phase, PHASES),
            *(
                (f"mix.{place}.phase: ", "phase", part.phase or study.workload.phase, PHASES)
                for place, part in enumerate(study.mix)
            ),
            *(("software.techniques: ", "technique", name, TECHNIQUES) for name in study.techniques),
            *(("software.rule: ", "admission rule", rule, RULES) for rule in study.software.rule or []),
        ]
        for where, what, given, allowed in checks:
            if given not in allowed:
                raise SpecError(f"{where}{unknown(what, given, allowed)}")
        if not study.objectives:
            raise SpecError("study.objectives: needs at least one")
        if not study.space:
            raise SpecError("space: needs at least one axis")
        if BASELINE not in study.techniques:
            raise SpecError(f"software.techniques: add {BASELINE!r}, the baseline that gains are measured against")
        axes = study.axes()
        if study.study.axis is not None and (name := axis_name(study.study.axis)) not in axes:
            raise SpecError(f"study.axis: {unknown('axis of this space', name, axes)}")
        _check_limits(study)
        _check_rules(study)
        _check_names(study)
    except SpecError as error:
        place = facts.places(Path(path), "study")(str(error).partition(":")[0])
        raise inside(place, error) from None
    return study


#: table of a study → what its keys are those of
_TABLES: dict[str, type[Table] | None] = {
    "study": Head,
    "space": Range,
    "workload": Serving,
    "mix": Part,
    "software": Software,
    "constraints": Constraints,
    "rules": None,
}


def load_study(name: str = "preserve-l2", objective: str | None = None) -> Study:
    """Return a study by shipped name, by path, or by name in the working directory.

    Parameters
    ----------
    name : str
        What its file names as device, bill and models may be files of one's own beside it, by name or path from it.
    objective : str, optional
        Becomes the headline, a name of ``dse.studies.objectives.OBJECTIVES`` such as ``"tokens_per_dollar"``; the
        study's own objectives stay behind it.

    Returns
    -------
    Study

    Raises
    ------
    SpecError
        If the name is unknown, or a key, unit or value of the file is wrong; names file and field.

    Examples
    --------
    >>> load_study("preserve-l2", objective="tokens_per_dollar").headline
    'tokens_per_dollar'
    """
    path = path_of("study", name)
    content, digest = facts.read_toml(path)
    try:
        study = Study.model_validate({**_named(content, path), "name": path.stem, "digest": digest})
    except pydantic.ValidationError as error:
        place = facts.places(path, "study")
        raise listed([f"{place(name)}: {said}" for name, said in faults(error, _TABLES)]) from None
    if objective:
        head = {"objective": objective, "objectives": study.objectives}
        study = study.model_copy(update={"study": study.study.model_copy(update=head)})
    return _check(study, str(path))
