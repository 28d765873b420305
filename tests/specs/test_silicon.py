"""What chips are bought with: files of memories, PHYs, packages and sites, and bills that are like others."""

from __future__ import annotations

import itertools

import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.specs.find import FOLDERS, path_of
from accelmodel.specs.load import TYPES

DEVICES = [am.load("device", name) for name in am.available("device")]


def test_no_two_specifications_share_a_name():
    """``show NAME`` says no kind; what is new may not take a name that something else had."""
    new = {name: kind for kind in ("memory", "phy", "package", "site", "bill") for name in am.available(kind)}
    for kind in ({*TYPES, "architecture"} & FOLDERS.keys()) - set(new.values()):
        assert not new.keys() & set(am.available(kind)), kind
    assert len(new) == sum(len(am.available(kind)) for kind in set(new.values()))


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_every_device_says_what_it_is_made_of(device):
    assert device.bill in am.available("bill")
    assert device.die_area > 0.0
    assert (device.hbm.generation in am.available("memory")) == bool(device.hbm.capacity)
    if device.hbm.stacks:
        memory = am.load("memory", device.hbm.generation)
        # what a device draws of a stack is no more than its generation gives; some hold twice as many dies
        assert device.hbm.bandwidth / device.hbm.stacks <= memory.bandwidth * 1.35
        assert device.hbm.capacity / device.hbm.stacks <= 4.0 * memory.capacity


@pytest.mark.parametrize("name", am.available("link"))
def test_every_link_says_what_it_takes(name):
    assert am.load("link", name).phy in am.available("phy")


def test_generations_of_hbm_rise():
    hbm = [am.load("memory", name) for name in ("hbm2", "hbm2e", "hbm3", "hbm3e", "hbm4", "hbm4e")]
    for one, other in itertools.pairwise(hbm):
        assert one.bandwidth < other.bandwidth
        assert one.capacity <= other.capacity
        assert one.price <= other.price
        assert one.power / one.bandwidth >= other.power / other.bandwidth * 0.999, "less energy a byte"


OWN = '[default]\nkind = "datasheet"\nsource = "mine"\nlocator = "x"\n\n[sources.mine]\ntitle = "Own"\n\n[bill]\n'


def test_a_bill_is_like_another(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(OWN + 'like = "gh100"\ncores_made = 150\n', encoding="utf-8")
    mine, near = am.load("bill", path), am.load("bill", "gh100")
    assert (mine.cores_made, mine.package) == (150.0, near.package)
    assert mine.facts["package"].inherited == "gh100"
    assert mine.facts["sram_power"].inherited == "any-chip"
    assert mine.digest not in (near.digest, am.load("bill", "any-chip").digest)


def test_bills_that_are_like_each_other_are_refused(tmp_path):
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.toml").write_text(OWN + f'like = "{other}"\n', encoding="utf-8")
    with pytest.raises(SpecError, match="is a circle; end it"):
        am.load("bill", tmp_path / "a.toml")
    (tmp_path / "c.toml").write_text(OWN + 'like = "gh10"\n', encoding="utf-8")
    with pytest.raises(SpecError, match="did you mean 'gh100'"):
        am.load("bill", tmp_path / "c.toml")


def test_a_bill_alone_must_say_all(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(OWN + 'package = "flip-chip"\n', encoding="utf-8")
    with pytest.raises(SpecError, match="core_share"):
        am.load("bill", path)


@pytest.mark.parametrize("kind", ["memory", "phy", "package", "site"])
def test_a_file_to_fill_in_loads_as_it_is(tmp_path, kind):
    from accelmodel.specs.template import new_file

    path = tmp_path / "mine.toml"
    near = am.available(kind)[0]
    path.write_text(new_file(kind, "mine", near), encoding="utf-8")
    assert am.load(kind, path).name == "mine"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hbm_price = 1", "a file of memories, which a device names as hbm.generation"),
        ("link_area = 1", "a file of phys, which a link names as phy"),
        ("test_price = 1", "a file of packages, which a bill names as package"),
        ("lifetime = 1", "a file of sites"),
    ],
)
def test_what_a_bill_no_longer_says_is_told_where_it_went(tmp_path, line, said):
    path = tmp_path / "mine.toml"
    path.write_text(OWN + f'like = "gh100"\n{line}\n', encoding="utf-8")
    with pytest.raises(SpecError, match=said):
        am.load("bill", path)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("base_dies = 2", "base_area is missing, or 0, and base_dies is not"),
        ("base_l2 = 1", "base_l2 is given and base_dies is 0"),
        ('base_area = { value = 500, unit = "mm2" }', "base_area is given and base_dies is 0"),
    ],
)
def test_base_dies_have_an_area_and_what_lies_in_them_needs_them(tmp_path, lines, said):
    path = tmp_path / "mine.toml"
    path.write_text(f'{OWN}like = "gh100"\n{lines}\n')
    with pytest.raises(am.SpecError, match=said):
        am.load("bill", path)


def test_a_wrong_memory_file_is_named_by_every_command(tmp_path):
    shipped = path_of("memory", "hbm3").read_text()
    memory = tmp_path / "mine.toml"
    memory.write_text(shipped.replace("bandwidth = { value = 819.2", "bandwidth = { value = 0"))
    head = OWN.replace("[bill]", "[device]")
    (tmp_path / "chip.toml").write_text(f'{head}like = "h100-sxm"\n[hbm]\ngeneration = "./mine.toml"\n')
    with pytest.raises(am.SpecError, match=r"mine.toml:5: bandwidth: 0 B/s must be at least"):
        am.load("device", tmp_path / "chip.toml")
