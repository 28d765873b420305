"""The shipped hardware facts: they load, say where they come from, and agree with the data sheets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accelmodel.errors import SpecError
from accelmodel.specs import facts, given, load, prices

HARDWARE = ("device", "link", "process", "bill", "memory", "phy", "package", "site")
EXPECTED = {
    "device": [
        "a100-sxm-80gb", "a10g", "ascend-910b1", "ascend-910b2", "ascend-910b3", "ascend-910b4", "b200-sxm",
        "b300-sxm", "gb200", "gb300", "rtx-pro-6000-server",
        "h100-pcie", "h100-sxm", "h200-sxm", "l4", "l40s", "mi210", "mi300x", "t4", "tpu-v5e", "tpu-v5p",
        "a100-pcie-40gb", "a100-pcie-80gb", "a30", "a40", "a800-sxm", "arc-pro-b60", "ascend-910c", "dgx-spark",
        "gaudi2", "gaudi3", "gh200-144gb", "gh200-96gb", "h20", "h800-sxm", "inferentia2", "jetson-thor", "l20",
        "mi250x", "mi325x", "mi350x", "mi355x", "rtx-3090", "rtx-4090", "rtx-5090", "rtx-6000-ada", "tpu-v4", "tpu-v6e",
        "tpu-v7", "trainium2",
    ],
    "link": [
        "hccs-mesh-8", "ici-v5e", "ici-v5p", "infiniband-ndr400", "infinity-fabric-mesh-8", "infinity-fabric-mi210",
        "nvlink3-mesh-4", "nvlink3-switch", "nvlink4-switch", "nvlink5-rack", "nvlink5-switch", "pcie3-x16",
        "pcie4-x16", "pcie5-x16", "roce-200g", "gaudi2-mesh-8", "gaudi3-mesh-8", "ici-v4", "ici-v6e", "ici-v7",
        "infinity-fabric-mi350-mesh-8", "neuronlink-v2", "neuronlink-v3", "nvlink-a800", "nvlink-h800",
        "pcie5-x8", "roce-300g", "roce-600g", "ub-910c", "infiniband-hdr200",
    ],
    "process": ["n4", "n5", "n6", "n7", "samsung-8n", "smic-7nm", "tsmc-12ffn"],
    "bill": ["a100", "any-chip", "ascend-910b", "gb100", "gh100", "cdna3-dies"],
    "memory": ["ddr5", "gddr6", "gddr7", "hbm2e", "hbm3", "hbm3e", "hbm4", "hbm4e", "lpddr5x"],
    "phy": ["phy-hccs", "phy-nvlink3", "phy-nvlink4", "phy-nvlink5", "phy-infinity-fabric", "phy-pcie5"],
    "package": ["cowos-l", "cowos-s", "flip-chip", "soic-cowos"],
    "site": ["data-centre"],
}  # fmt: skip
SHIPPED = [(kind, name) for kind in load.TYPES for name in load.available(kind)]
DEVICES = load.available("device")
#: sources of models, studies and published results, which other files cite
CITED_ELSEWHERE = {"huggingface-hub", "preserve", "cake", "infersave"}


@pytest.mark.parametrize("kind", HARDWARE)
def test_expected_names_are_available(kind):
    assert set(EXPECTED[kind]) <= set(load.available(kind))


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_shipped_file_loads_and_every_assumption_has_a_range(kind, name):
    spec = load.load(kind, name)
    assert spec.name == name
    for field, fact in spec.facts.items():
        assert fact.kind in facts.KINDS, field
        assert fact.source, field
        assert fact.locator, f"{field} does not say where in its source"
        if fact.kind in ("assumed", "calibrated") and isinstance(fact.value, float):
            assert fact.range is not None, field
            assert fact.range[0] <= fact.value <= fact.range[1], field


def test_sources_are_complete_and_all_used():
    shared = set(facts.sources())
    used = set()
    for path in facts.root().rglob("*.toml"):
        if path.name == "sources.toml":
            continue
        content, _ = facts.read_toml(path)
        own = set(content.get("sources", {}))
        here = set(re.findall(r'\bsource\s*=\s*"([^"]+)"', path.read_text(encoding="utf-8")))
        assert here <= shared | own, f"{path}: {sorted(here - shared - own)} not defined"
        assert own <= here, f"{path}: {sorted(own - here)} defined but not used"
        used |= here
    used |= {price.source for price in prices.shipped()}
    assert shared - used <= CITED_ELSEWHERE
    assert shared >= CITED_ELSEWHERE


def test_each_source_says_title_address_licence_and_confidence():
    for key, source in facts.sources().items():
        assert set(source) == {"title", "url", "licence", "confidence"}, key
        assert source["title"], key
        assert source["confidence"] in ("stated", "second-hand", "assumed"), key
        assert source["url"] == "" or source["url"].startswith("https://"), key


@pytest.mark.parametrize("name", DEVICES)
def test_device_points_at_shipped_links_and_process(name):
    device = load.load("device", name)
    assert device.link in load.available("link")
    assert device.scale_out in load.available("link")
    assert device.process in load.available("process")


@pytest.mark.parametrize("name", DEVICES)
def test_device_is_physically_sane(name):
    device = load.load("device", name)
    process = load.load("process", device.process)
    # Blackwell Ultra gave up its 8-bit integers, by its data sheet
    if device.peak_8bit_int and name not in ("b300-sxm", "gb300"):
        assert device.peak_8bit_int >= device.peak_16bit
    if device.peak_8bit_float:
        assert device.peak_8bit_float >= device.peak_16bit
    assert device.vector_rate < device.peak_16bit
    assert device.l2_bandwidth > device.hbm_bandwidth
    assert device.l2_capacity < device.hbm_capacity or not device.hbm_capacity
    assert device.die_area <= device.dies * process.reticle_area


@pytest.mark.parametrize(
    ("name", "per_core_and_clock"),
    [
        ("a100-sxm-80gb", 2048), ("h100-sxm", 4096), ("h100-pcie", 4096), ("h200-sxm", 4096), ("b200-sxm", 8192),
        ("l40s", 1024), ("l4", 1024), ("a10g", 512), ("t4", 1024), ("mi210", 1024), ("mi300x", 2048),
        ("ascend-910b1", 8192), ("ascend-910b2", 8192), ("ascend-910b3", 8192), ("tpu-v5e", 131072),
        ("tpu-v5p", 131072), ("h20", 1024), ("h800-sxm", 4096), ("a800-sxm", 2048), ("gh200-96gb", 4096),
        ("gh200-144gb", 4096), ("a100-pcie-40gb", 2048), ("a100-pcie-80gb", 2048), ("a30", 2048), ("a40", 1024),
        ("l20", 512), ("rtx-3090", 512), ("rtx-4090", 512), ("rtx-5090", 512), ("rtx-6000-ada", 1024),
        ("jetson-thor", 8192), ("arc-pro-b60", 2048), ("mi250x", 1024), ("mi325x", 2048), ("mi350x", 4096),
        ("mi355x", 4096), ("tpu-v4", 131072), ("tpu-v6e", 524288), ("trainium2", 32768), ("inferentia2", 32768),
        ("gaudi2", 131072), ("gaudi3", 131072), ("ascend-910c", 8192),
        ("ascend-950pr", 8192), ("ascend-950dt", 8192), ("trainium3", 32768), ("rubin", 8192), ("xeon-6980p", 2048),
        ("epyc-9755", 128), ("epyc-9554", 64), ("grace", 128), ("wse-3", 16000),
    ],
)  # fmt: skip
def test_peak_is_cores_times_clock_times_width(name, per_core_and_clock):
    device = load.load("device", name)
    assert device.peak_16bit == pytest.approx(device.cores * device.clock * per_core_and_clock, rel=0.015)


@pytest.mark.parametrize(
    ("name", "field", "printed"),
    [
        ("a100-sxm-80gb", "peak_16bit", 312e12),
        ("a100-sxm-80gb", "hbm_bandwidth", 2.039e12),
        ("a100-sxm-80gb", "hbm_capacity", 80 * 2**30),
        ("a100-sxm-80gb", "l2_capacity", 40e6),
        ("a100-sxm-80gb", "die_area", 826e-6),
        ("a100-sxm-80gb", "power", 400.0),
        ("h100-sxm", "peak_16bit", 989e12),
        ("h100-sxm", "peak_8bit_float", 1979e12),
        ("h100-sxm", "hbm_bandwidth", 3.35e12),
        ("h100-sxm", "power", 700.0),
        ("h100-pcie", "hbm_bandwidth", 2.0e12),
        ("h200-sxm", "hbm_bandwidth", 4.8e12),
        ("h200-sxm", "hbm_capacity", 143_771 * 2**20),
        ("b200-sxm", "peak_16bit", 2250e12),
        ("b200-sxm", "hbm_bandwidth", 8e12),
        ("mi210", "peak_16bit", 181e12),
        ("mi300x", "peak_16bit", 1307e12),
        ("mi300x", "hbm_bandwidth", 5.3e12),
        ("l40s", "hbm_bandwidth", 864e9),
        ("l4", "peak_8bit_int", 242e12),
        ("a10g", "hbm_bandwidth", 600e9),
        ("t4", "peak_16bit", 65e12),
        ("t4", "hbm_bandwidth", 320e9),
        ("tpu-v5e", "peak_16bit", 197e12),
        ("tpu-v5p", "hbm_bandwidth", 2765e9),
        ("ascend-910b1", "peak_16bit", 24 * 4096 * 2 * 1.85e9),
        ("ascend-910b2", "peak_16bit", 24 * 4096 * 2 * 1.8e9),
        ("ascend-910b3", "peak_16bit", 20 * 4096 * 2 * 1.8e9),
        ("ascend-910b2", "l2_capacity", 201326592.0),
        ("ascend-910b4", "hbm_bandwidth", 0.8e12),
        ("ascend-910b4", "hbm_capacity", 32 * 2**30),
        ("h20", "hbm_bandwidth", 4e12),
        ("h20", "peak_8bit_float", 296e12),
        ("h800-sxm", "peak_8bit_float", 1979e12),
        ("h800-sxm", "hbm_bandwidth", 3.35e12),
        ("a800-sxm", "hbm_bandwidth", 2.039e12),
        ("gh200-96gb", "hbm_bandwidth", 4e12),
        ("gh200-144gb", "hbm_capacity", 153_008_209_920),
        ("a100-pcie-40gb", "hbm_bandwidth", 1.555e12),
        ("a100-pcie-80gb", "hbm_bandwidth", 1.935e12),
        ("a30", "hbm_bandwidth", 933e9),
        ("a40", "hbm_bandwidth", 696e9),
        ("l20", "peak_8bit_float", 239e12),
        ("rtx-3090", "hbm_bandwidth", 936e9),
        ("rtx-4090", "hbm_bandwidth", 1008e9),
        ("rtx-5090", "hbm_bandwidth", 1792e9),
        ("rtx-5090", "peak_4bit", 1676e12),
        ("rtx-6000-ada", "hbm_bandwidth", 960e9),
        ("dgx-spark", "hbm_bandwidth", 273e9),
        ("jetson-thor", "peak_4bit", 1035e12),
        ("arc-pro-b60", "hbm_bandwidth", 456e9),
        ("mi250x", "hbm_bandwidth", 3276.8e9),
        ("mi325x", "hbm_capacity", 256 * 2**30 - 16 * 2**20),
        ("mi350x", "power", 1000.0),
        ("mi355x", "peak_16bit", 256 * 4096 * 2.4e9),
        ("mi355x", "peak_4bit", 4 * 256 * 4096 * 2.4e9),
        ("tpu-v4", "hbm_capacity", 32 * 2**30),
        ("tpu-v6e", "peak_8bit_int", 1836e12),
        ("tpu-v7", "hbm_bandwidth", 7380e9),
        ("trainium2", "peak_8bit_float", 1299e12),
        ("trainium2", "l2_capacity", 8 * 28 * 2**20),
        ("inferentia2", "hbm_bandwidth", 820e9),
        ("gaudi2", "hbm_bandwidth", 2.46e12),
        ("gaudi3", "l2_bandwidth", 12.8e12),
        ("ascend-910c", "hbm_capacity", 128 * 2**30 / 2),
    ],
)
def test_device_value_by_hand(name, field, printed):
    assert getattr(load.load("device", name), field) == pytest.approx(printed, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "one_way"),
    [
        ("hccs-mesh-8", 7 * 28e9), ("nvlink3-switch", 300e9), ("nvlink3-mesh-4", 300e9), ("nvlink4-switch", 450e9),
        ("nvlink5-switch", 900e9), ("infinity-fabric-mesh-8", 7 * 64e9), ("infinity-fabric-mi210", 3 * 50e9),
        ("pcie3-x16", 16e9), ("pcie4-x16", 32e9), ("pcie5-x16", 64e9), ("ici-v5e", 4 * 45e9), ("ici-v5p", 6 * 90e9),
        ("roce-200g", 25e9), ("infiniband-ndr400", 50e9), ("nvlink-a800", 8 * 25e9), ("ub-910c", 196e9),
        ("nvlink-h800", 8 * 25e9), ("infinity-fabric-mi350-mesh-8", 7 * 76.8e9), ("ici-v4", 6 * 45e9),
        ("ici-v6e", 800e9 / 2), ("ici-v7", 1200e9 / 2), ("neuronlink-v3", 1024e9 / 2), ("neuronlink-v2", 192e9 / 2),
        ("gaudi2-mesh-8", 21 * 12.5e9), ("gaudi3-mesh-8", 21 * 25e9), ("roce-300g", 3 * 12.5e9), ("pcie5-x8", 32e9),
        ("roce-600g", 3 * 25e9), ("infiniband-hdr200", 25e9),
    ],
)  # fmt: skip
def test_link_bandwidth_by_hand(name, one_way):
    assert load.load("link", name).bandwidth == pytest.approx(one_way)


def test_full_mesh_has_one_link_or_more_to_each_peer():
    for name in load.available("link"):
        link = load.load("link", name)
        if link.topology == "mesh":
            assert link.links % (link.devices - 1) == 0, name


def test_yield_of_the_a100_die_by_hand():
    process = load.load("process", "n7")
    defects = 826e-6 * process.defect_density / process.defect_clustering
    assert (1.0 + defects) ** -process.defect_clustering == pytest.approx(0.354, abs=5e-4)


def test_n7_sram_density_by_hand():
    # 2**23 bit in a MiB x 0.17 um2 / 0.602
    assert load.load("process", "n7").sram_area * 2**20 == pytest.approx(2**23 * 0.17e-12 / 0.602, rel=2e-3)


# ------------------------------------------------------------------ files that are wrong

FIRM = 'kind = "datasheet", source = "pci-sig", locator = "x"'
GOOD = {
    "topology": f'{{ value = "switch", {FIRM} }}',
    "algorithms": f'{{ value = ["ring"], {FIRM} }}',
    "bandwidth": f'{{ value = 32, unit = "GB/s", {FIRM} }}',
    "links": f"{{ value = 1, {FIRM} }}",
    "share": f"{{ value = 0.8, {FIRM} }}",
    "hop_latency": f'{{ value = 1, unit = "us", {FIRM} }}',
    "start_up": f'{{ value = 10, unit = "us", {FIRM} }}',
    "devices": f"{{ value = 8, {FIRM} }}",
}


GOOD_TABLE = "[link]\n" + "".join(f"{key} = {line}\n" for key, line in GOOD.items())


def link_file(folder: Path, **changes: str | None) -> Path:
    """Return the path of a link file with some lines replaced, added or (None) left out."""
    lines = {key: line for key, line in {**GOOD, **changes}.items() if line is not None}
    path = folder / "my-link.toml"
    path.write_text("[link]\n" + "\n".join(f"{key} = {line}" for key, line in lines.items()) + "\n", encoding="utf-8")
    return path


def test_own_file_loads_by_path(tmp_path):
    link = load.load("link", str(link_file(tmp_path)))
    assert link.name == "my-link"
    assert link.bandwidth == 32e9
    assert link.start_up == pytest.approx(10e-6)


def test_a_path_is_taken_as_it_is(tmp_path):
    path = link_file(tmp_path)
    assert load.load("link", path) == load.load("link", str(path))
    with pytest.raises(SpecError, match=r"h100-sxm: cannot be read"):
        load.load("device", Path("h100-sxm"))


@pytest.mark.parametrize("name", [3, None, ["l4"]])
def test_what_is_neither_name_nor_path_is_refused(name):
    with pytest.raises(SpecError, match="is neither a name nor a path"):
        load.load("device", name)


def test_a_name_in_place_of_a_spec_is_answered_with_how_to_load_it():
    for call in (load.provenance, given.override):
        with pytest.raises(SpecError, match=r"'h100-sxm' is no specification; load it first"):
            call("h100-sxm")


def test_a_table_in_the_wrong_case_is_answered_with_the_closest(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[device]\nlike = "l4"\n[HBM]\nstacks = 1\n', encoding="utf-8")
    with pytest.raises(SpecError, match="unknown table 'HBM', did you mean 'hbm'"):
        load.load("device", str(path))


def test_default_table_and_own_sources(tmp_path):
    path = tmp_path / "my-link.toml"
    path.write_text(
        '[default]\nkind = "measured"\nsource = "my-lab"\nlocator = "run 7"\n'
        '[sources.my-lab]\ntitle = "My lab"\n'
        '[link]\ntopology = "ring"\nalgorithms = ["ring"]\nbandwidth = { value = 9, unit = "GB/s" }\nlinks = 2\n'
        'share = 0.5\nhop_latency = { value = 2, unit = "us" }\nstart_up = { value = 0.1, unit = "ms" }\ndevices = 4\n',
        encoding="utf-8",
    )
    link = load.load("link", str(path))
    assert link.facts["share"].kind == "measured"
    assert link.facts["share"].source == "my-lab"
    assert link.start_up == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("field", "line", "says"),
    [
        ("like", f'{{ value = "x", {FIRM} }}', "unknown key 'like'"),
        ("bandwith", f'{{ value = 32, unit = "GB/s", {FIRM} }}', "bandwidth"),
        ("bandwidth", f'{{ value = 32, unit = "GB", {FIRM} }}', "expected B/s"),
        ("bandwidth", f'{{ value = 32, unit = "furlong/s", {FIRM} }}', "unknown unit"),
        ("bandwidth", f'{{ value = -32, unit = "GB/s", {FIRM} }}', "at least 1 kB/s"),
        ("bandwidth", f'{{ value = nan, unit = "GB/s", {FIRM} }}', "finite"),
        ("bandwidth", f'{{ value = inf, unit = "GB/s", {FIRM} }}', "finite"),
        ("bandwidth", f'{{ value = "fast", {FIRM} }}', "is text, no number"),
        ("bandwidth", f"{{ value = true, {FIRM} }}", "not a number"),
        ("bandwidth", f"{{ value = [1.0, 2.0], {FIRM} }}", "not a number"),
        ("bandwidth", '{ value = 32, unit = "GB/s", kind = "datasheet", locator = "x" }', "missing source"),
        ("bandwidth", '{ value = 32, unit = "GB/s", kind = "datasheet", source = "lost", locator = "x" }', "lost"),
        ("bandwidth", '{ value = 32, unit = "GB/s", kind = "guess", source = "pci-sig", locator = "x" }', "guess"),
        ("bandwidth", f'{{ value = 32, unit = "GB/s", sigma = 1, {FIRM} }}', "sigma"),
        ("bandwidth", '{ value = 32, unit = "GB/s", kind = "assumed", source = "pci-sig", locator = "x" }', "range"),
        ("bandwidth", f'{{ value = 32, unit = "GB/s", {FIRM}, range = [40, 50] }}', "outside"),
        ("bandwidth", f'{{ value = 32, unit = "GB/s", {FIRM}, range = [40] }}', "lowest, highest"),
        ("share", f"{{ value = 1.2, {FIRM} }}", "at most 1"),
        ("devices", f"{{ value = 7.5, {FIRM} }}", "whole"),
        ("topology", f"{{ value = 3, {FIRM} }}", "string"),
        ("algorithms", f'{{ value = "ring", {FIRM} }}', "list"),
        ("devices", None, "missing"),
    ],
)
def test_wrong_file_is_refused_naming_file_and_field(tmp_path, field, line, says):
    path = link_file(tmp_path, **{field: line})
    with pytest.raises(SpecError) as caught:
        load.load("link", str(path))
    message = str(caught.value)
    assert str(path) in message
    assert field in message
    assert says in message


def test_unknown_topology_and_algorithm_are_refused(tmp_path):
    wrong = {"topology": f'{{ value = "star", {FIRM} }}', "algorithms": f'{{ value = ["rings"], {FIRM} }}'}
    for field, line in wrong.items():
        path = link_file(tmp_path, **{field: line})
        with pytest.raises(SpecError, match=r"unknown (topology|collective algorithm)"):
            load.load("link", str(path))


def test_duplicate_key_is_refused_naming_file_and_line(tmp_path):
    path = link_file(tmp_path)
    path.write_text(path.read_text(encoding="utf-8") + f"devices = {GOOD['devices']}\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"my-link\.toml:10: is not valid TOML"):
        load.load("link", str(path))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[device]\ncores = 1\n", "needs a table [link] of facts; it holds [device]"),
        (GOOD_TABLE + "[links]\nshare = 1\n", "unknown table 'links'"),
        ("", "needs a table"),
        ("[link]\n", "needs a table"),
        ("[default]\nunit = 'GB'\n[link]\nlinks = 1\n", "unknown key 'unit'"),
        ("[link\n", "not valid TOML"),
    ],
)
def test_file_of_the_wrong_shape_is_refused(tmp_path, content, says):
    path = tmp_path / "my-link.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load.load("link", str(path))
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_missing_file_huge_file_and_binary_file_are_refused(tmp_path):
    with pytest.raises(SpecError, match=r"none\.toml: cannot be read"):
        load.load("link", str(tmp_path / "none.toml"))
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (2 << 20))
    with pytest.raises(SpecError, match=r"huge\.toml: larger than 1 MiB"):
        load.load("link", str(huge))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"binary\.toml:\d+: is not UTF-8"):
        load.load("link", str(binary))


def test_unknown_name_is_answered_with_the_closest():
    with pytest.raises(SpecError, match="did you mean 'a100-sxm-80gb'"):
        load.load("device", "a100-sxm-80g")


def test_all_that_is_wrong_is_said_at_once_a_line_each(tmp_path):
    wrong = {"share": f"{{ value = 1.2, {FIRM} }}", "bandwith": "3", "links": None, "devices": '"many"'}
    with pytest.raises(SpecError) as caught:
        load.load("link", str(link_file(tmp_path, **wrong)))
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["links", "share", "devices", "bandwith"]
    assert all(line.startswith(str(tmp_path)) for line in lines)


def test_ten_faults_at_most_and_a_count_of_the_rest(tmp_path):
    wrong = {f"made_up_{i}": "1" for i in range(13)}
    with pytest.raises(SpecError) as caught:
        load.load("link", str(link_file(tmp_path, **wrong)))
    lines = str(caught.value).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "and 3 more"


@pytest.mark.parametrize("kind", load.TYPES)
def test_readme_explains_every_field(kind):
    text = (facts.root() / "README.md").read_text(encoding="utf-8")
    names = {name.rpartition(".")[2] for name in load.field_units(load.TYPES[kind][1])} - {"name"}
    assert [name for name in names if f"| `{name}` |" not in text and f"`{name}`," not in text] == []


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("48", 'has no unit: write { value = 48, unit = "MB" } and where it is from'),
        ('"48MB"', "'48MB' is text, no number: write { value = 48, unit = \"MB\" } and where it is from"),
        ('"many"', "'many' is text, no number; write for example value = 40"),
    ],
)
def test_a_number_without_its_unit_is_answered_with_what_to_write(tmp_path, written, told):
    path = tmp_path / "mine.toml"
    source = '[default]\nkind = "paper"\nsource = "d"\nlocator = "p"\n[sources.d]\ntitle = "t"\n'
    path.write_text(f'[device]\nlike = "l4"\n\n[l2]\ncapacity = {written}\n{source}', encoding="utf-8")
    with pytest.raises(SpecError) as error:
        load.load("device", str(path))
    assert str(error.value).endswith(f"mine.toml:5: l2.capacity: {told}")
