"""What all reports share: figures that unpack to what was drawn, words for those who cannot see them, a small file."""

from __future__ import annotations

import base64
import json
import re
import zlib

import plotly.graph_objects as go
from hypothesis import given
from hypothesis import strategies as st

from accelmodel.report import html, style
from accelmodel.report.html import packed, page, section, table


def unpacked(text: str) -> str:
    """What page.js does, in Python."""
    return zlib.decompress(base64.b85decode(text.replace("/", "<").replace(":", "&"))).decode()


@given(st.text())
def test_what_is_packed_comes_out_again_and_is_no_markup(text):
    found = packed(text)
    assert unpacked(found) == text
    assert not set("<&\"'\\") & set(found)


def test_letters_of_the_script_are_those_of_the_packing():
    script = (html._HERE / "page.js").read_text(encoding="utf-8")
    digits = re.search(r'DIGITS = "(.*)"', script).group(1)
    assert digits == base64._b85alphabet.decode().replace("<", "/").replace("&", ":")


def test_a_section_says_what_its_figure_shows_and_holds_it():
    drawn = style.figure(300, narrow={"margin.l": 12}).add_scatter(x=[1, 2], y=[3, 4], name="</script>")
    made = section("size", "Which <L2>", 'The "best" & more', drawn)
    assert 'role="img" aria-label="Which &lt;L2&gt;. The &#34;best&#34; &amp; more"' in made
    held = json.loads(unpacked(re.search(r'data-figure="figure-size">(.*?)</script>', made).group(1)))
    assert held["data"][0]["name"] == "</script>"
    assert held["layout"]["meta"]["narrow"]["margin.l"] == 12
    assert {'data-format="png"', 'data-format="svg"'} <= set(re.findall(r'data-format="\w+"', made))


def test_cells_know_their_column_where_a_row_becomes_a_card():
    made = table(["Chip", "Die [mm²]"], [["a", "1"]], range(1, 2))
    assert '<td>a</td><td class=n data-of="Die [mm²]">1</td>' in made


def test_a_page_is_under_two_megabytes_and_asks_for_nothing():
    made = page("Title", section("one", "One", "Text", go.Figure()))
    assert len(made.encode()) < 2e6
    assert not re.search(r'(src|href)="(?!data:)', made)
    assert unpacked(re.search(r'id="plotly">(.*?)</script>', made).group(1)).startswith("/**\n* plotly.js")
