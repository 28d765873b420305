"""Tables ``[[level]]`` of links and clusters: what they begin from, which is the node, what is refused."""

from __future__ import annotations

import pytest

import accelmodel as am
from accelmodel.errors import SpecError
from accelmodel.specs.find import available
from accelmodel.specs.given import cluster, override

HEAD = '[default]\nkind = "datasheet"\nsource = "mine"\nlocator = "x"\n[sources.mine]\ntitle = "x"\n'
NODE, NETWORK = '[[level]]\nlink = "nvlink4-switch"\n', '[[level]]\nlink = "infiniband-ndr400"\n'
LINK = """[link]
topology = "switch"
algorithms = ["ring"]
bandwidth = { value = 100, unit = "GB/s" }
links = 2
share = 0.8
hop_latency = { value = 1, unit = "us" }
start_up = { value = 5, unit = "us" }
devices = 4
"""


@pytest.fixture
def written(tmp_path):
    def write(text, name="mine"):
        path = tmp_path / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_levels_begin_from_files_and_state_what_differs(written):
    found = am.load(
        "link", written(f'{HEAD}{NODE}{NETWORK}devices = 64\nbandwidth = {{ value = 25, unit = "GB/s" }}\n')
    )
    near, far = am.load("link", "nvlink4-switch"), am.load("link", "infiniband-ndr400")
    assert (found.name, found.devices, found.bandwidth) == (near.name, near.devices, near.bandwidth)
    assert (found.beyond[0].devices, found.beyond[0].bandwidth, found.beyond[0].share) == (64, 25e9, far.share)
    assert found.beyond[0].facts["bandwidth"].source == "mine"
    # what was measured of the link is true of the level that begins from it, unless it states other numbers
    assert found.residuals == near.residuals
    assert am.load("link", written(f"{HEAD}{NODE}share = 0.5\n{NETWORK}")).residuals == ()


def test_levels_begin_from_the_link_of_their_own_file(written):
    text = f'{HEAD}{LINK}[[level]]\nname = "pair"\ndevices = 2\n[[level]]\nname = "node"\n[[level]]\ndevices = 16\n'
    found = am.load("link", written(text))
    assert (found.devices, found.inside[0].devices, found.beyond[0].devices) == (4, 2, 16)
    assert {found.bandwidth, found.inside[0].bandwidth, found.beyond[0].bandwidth} == {100e9}


@pytest.mark.parametrize(
    ("levels", "node"),
    [
        ([(2, ""), (8, "")], 2),
        ([(2, ""), (8, ""), (64, "")], 8),
        ([(8, 'name = "node"'), (32, ""), (64, "")], 8),
        ([(2, ""), (8, ""), (32, ""), (64, "node = true")], 64),
        ([(8, "")], 8),
    ],
)
def test_which_level_is_the_node(written, levels, node):
    tables = "".join(f'[[level]]\nlink = "nvlink4-switch"\ndevices = {devices}\n{more}\n' for devices, more in levels)
    found = am.load("link", written(f"{HEAD}{tables}"))
    assert found.devices == node
    assert [each.devices for each in (*found.inside, found, *found.beyond)] == [devices for devices, _ in levels]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{NODE}devices = 8\n{NETWORK}devices = 8\n", "devices 8 must be above the 8 of nvlink4-switch"),
        (f"{NODE}devics = 8\n", "[[level]] 1: unknown key 'devics'"),
        (f'{NODE}bandwidth = {{ value = 3, unit = "us" }}\n', "bandwidth: is in s, expected B/s"),
        (f'{NODE}share = "much"\n', "'much' is text, no number"),
        (f"{NODE}node = true\n{NETWORK}node = true\n", "node = true stands in 2 tables"),
        ("[[level]]\ndevices = 8\n", "bandwidth: is missing"),
        ('[[level]]\nlink = "nvlink9"\n', "unknown link 'nvlink9'"),
        ("level = 3\n", "level must be tables [[level]]"),
        (f"{NODE}node = 1\n", "node is true or false"),
    ],
)
def test_what_is_refused(written, text, told):
    head = HEAD if not text.startswith("level =") else ""
    with pytest.raises(SpecError) as error:
        am.load("link", written(text + head if not head else head + text))
    assert told in str(error.value)


def test_a_cluster_brings_device_and_levels(written):
    text = f'{HEAD}[cluster]\ndevice = "h200-sxm"\n{NODE}{NETWORK}'
    path = written(text)
    for found in (cluster(path, 16), cluster("h200-sxm", 16, link=path)):
        assert (found.device.name, found.link.name, found.scale_out.name) == (
            "h200-sxm", "nvlink4-switch", "infiniband-ndr400",
        )  # fmt: skip
    assert cluster("h100-sxm", 16, link=path).device.name == "h100-sxm"
    with pytest.raises(SpecError, match=r"needs tables \[\[level\]\]"):
        am.load("cluster", written(f'{HEAD}[cluster]\ndevice = "h200-sxm"\n', "bare"))


@pytest.mark.parametrize("name", available("cluster"))
def test_shipped_clusters_answer(name):
    chips = cluster(name)
    sizes = [link.devices for link in chips.levels]
    assert sizes == sorted(sizes)
    for devices in {2.0, chips.link.devices, min(2.0 * chips.link.devices, sizes[-1])}:
        found = am.collective(cluster(name, devices), size=[1e3, 1e8])
        assert 0.0 < float(found.time[0]) < float(found.time[1]) < 1.0


def test_a_name_of_an_earlier_version_is_said(written):
    found = am.load("link", written(HEAD + LINK + 'handshake = { value = 3, unit = "us" }\n'))
    assert found.rendezvous == 3e-6
    assert found.notes == ("handshake is called rendezvous now; it was read as that",)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"axes": [4.0, 4.0]}, "axes is of a ring or torus, and topology is switch"),
        ({"topology": "torus", "axes": [4.0, 4.0]}, "are 16 devices, not 8"),
        ({"topology": "torus", "axes": [2.0, 4.0], "wrap": [2.0]}, "wrap has 1 lengths for 2 axes"),
        ({"topology": "torus", "axes": [2.0, 4.0], "slice": [4.0, 2.0]}, "slice [4.0, 2.0] is longer than the axes"),
        ({"topology": "ring", "axes": [2.0, 4.0]}, "a ring one axis"),
        ({"topology": "torus", "axes": [1.6, 5.0]}, "must be whole lengths"),
        ({"topology": "tree"}, "unknown topology 'tree'"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(changes, told):
    with pytest.raises(SpecError) as error:
        override(am.load("link", "nvlink4-switch"), changes)
    assert told in str(error.value)


def test_lists_are_written_with_commas():
    link = am.load("link", "ici-v5e")
    assert override(link, slice="4,8").slice == override(link, slice="4x8").slice == [4.0, 8.0]
    assert override(link, algorithms="ring, tree").algorithms == ["ring", "tree"]
    with pytest.raises(SpecError, match="is no list of numbers"):
        override(link, slice="four")


TORUS = 'topology = "torus"\nlinks = 4\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{NODE}devices = 8\n{NETWORK}devices = 20\n", "devices 20 must be a multiple of the 8"),
        (f'{NODE}name = "node"\n{NETWORK}name = "node"\n', "name 'node' stands in 2 tables"),
        ('[[level]]\nlink = "mine.toml"\n', "has levels of its own"),
        ('[[level]]\nlink = "nvlnk4-switch"\n', r"mine\.toml: \[\[level\]\] 1: link: unknown link"),
        (NODE * 17, "17 tables"),
        (f"{NODE}{TORUS}axes = [inf, 8]\n", "must be whole lengths"),
        (f"{NODE}{TORUS}axes = [nan, 8]\n", "must be whole lengths"),
        (f"{NODE}{TORUS}wrap = [2, 4, 4]\n", "wrap is given and axes is not"),
        (f"{NODE}{TORUS}axes = [1, 1, 1, 1, 8]\n", "at most 4"),
        (f"{NODE}{TORUS}devices = 1e9\n", "at most 1,000,000"),
    ],
)
def test_levels_that_cannot_be(written, text, message):
    with pytest.raises(SpecError, match=message):
        am.load("link", written(f"{HEAD}{text}"))


def test_a_network_between_nodes_is_one_link():
    with pytest.raises(SpecError, match="one of 2 levels of its file"):
        cluster("h100-sxm", scale_out="gb200-nvl72")


def test_a_cluster_names_the_file_of_a_device_that_is_none(written):
    path = written(f'{HEAD}[cluster]\ndevice = {{ value = "h1000", locator = "x" }}\n{NODE}{NETWORK}')
    with pytest.raises(SpecError, match="mine: device: unknown device 'h1000'"):
        cluster(path)
