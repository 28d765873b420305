"""The commands ``list`` and ``show``: every shipped name, and files by path."""

from __future__ import annotations

import json

import pytest

import accelmodel as am
from accelmodel.specs import facts

CONFIG = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
}  # fmt: skip


def test_list(answer, run):
    everything = answer("list")
    assert everything.pop("accelmodel_version") == am.__version__
    assert everything.pop("kernels") == everything["kernel_libraries"]  # as it was called
    assert set(everything) == {
        "devices", "links", "models", "processes", "bills", "storage", "instances", "engines", "kernel_libraries",
        "studies", "sweeps", "architectures", "clusters", "memories", "phys", "packages", "sites", "cpus",
    }  # fmt: skip
    assert everything["devices"] == am.available("device")
    assert everything["studies"] == am.available("study")
    assert answer("list models") == {"models": am.available("model"), "accelmodel_version": am.__version__}
    code, out, _ = run("list")
    assert code == 0
    assert "ascend-910b2" in out
    assert answer("list libraries")["kernel_libraries"] == am.available("library")


@pytest.mark.parametrize(
    "kind", ["device", "link", "model", "process", "bill", "memory", "phy", "package", "site", "cpu"]
)
def test_show_for_every_shipped_name(answer, run, kind):
    for name in am.available(kind):
        data = answer(f"show {name}")
        assert (data["name"], data["kind"]) == (name, kind)
        assert len(data["digest"]) == 16
        for row in data["fields"]:
            assert row["kind"] in (*facts.KINDS, "default"), (name, row["field"])
    code, out, err = run(f"show {am.available(kind)[0]}")
    assert (code, err) == (0, "")
    assert am.available(kind)[0] in out


def test_show_reads_paths(answer, tmp_path):
    (tmp_path / "mine.toml").write_text((facts.root() / "devices" / "a10g.toml").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    assert answer("show ./mine.toml")["kind"] == "device"
    assert answer("show ./config.json")["kind"] == "model"
