"""A name where a specification is wanted: what a model, a cluster or a workload may be given as."""

from __future__ import annotations

from collections.abc import Mapping

from accelmodel.errors import SpecError, brief
from accelmodel.specs.given import cluster, workload
from accelmodel.specs.hardware import Cluster, Device
from accelmodel.specs.language_model import LanguageModel
from accelmodel.specs.load import load
from accelmodel.specs.workload import Fields, Workload

#: what stands for a model: name, path of a TOML file or of a Hugging Face ``config.json``, or the model itself
ModelLike = str | LanguageModel
#: what stands for a cluster: name or path of a device, a device, or the cluster itself
ClusterLike = str | Device | Cluster
#: what stands for a workload: it, or its fields
WorkLike = Workload | Fields


def as_model(given: ModelLike) -> LanguageModel:
    """Return the model that a name, a path or a model stands for; raises SpecError where it stands for none."""
    if isinstance(given, LanguageModel):
        return given
    if isinstance(given, str):
        found: LanguageModel = load("model", given)
        return found
    raise _refused("model", given, "a name, a path or load('model', name)")


def as_cluster(given: ClusterLike) -> Cluster:
    """Return the cluster that a device's name, a device or a cluster stands for: of a device one full node."""
    if isinstance(given, Cluster):
        return given
    if isinstance(given, str | Device):
        return cluster(given)
    raise _refused("cluster", given, "a device's name or path, load('device', name) or cluster(device, devices)")


def as_workload(given: WorkLike) -> Workload:
    """Return the workload that a workload or its fields stand for."""
    if isinstance(given, Workload):
        return given
    if isinstance(given, Mapping):
        return workload(**given)
    raise _refused("workload", given, "workload(phase=..., batch=..., context=...) or a mapping of these fields")


def _refused(what: str, given: object, allowed: str) -> SpecError:
    return SpecError(f"{what} must be {allowed}, not {brief(given)}")
