"""The catalogue: what a load gives, and what it says when a file is missing, damaged or out of reach."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import sys
import urllib.request
import zipfile
from datetime import datetime, timedelta
from email.message import Message
from pathlib import Path
from urllib.error import URLError

import polars as pl
import pytest

from statewise.core.errors import ConfigError, DataError
from statewise.data import catalogue, datasets, download, readers

CSV = b"""date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT
2016-07-01 00:00:00,1,2,3,4,5,6,7
2016-07-01 01:00:00,2,2,3,4,5,6,9
"""
SHAPES = {
    "etth1": (17420, 9),
    "ettm1": (69680, 9),
    "tetouan_power": (52416, 10),
    "exchange_rate": (8 * 7588, 3),
    "bike_sharing": (17379, 12),
    "vic_elec": (52608, 5),
    "stocks_gafa": (5032, 8),
    "m4_hourly": (373372, 3),
    "m4_weekly": (371579, 3),
}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no STATEWISE_DATA."""
    monkeypatch.setenv("STATEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("STATEWISE_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> catalogue.DataSet:
    """A catalogue entry of two rows, named toy."""
    entry = dataclasses.replace(
        catalogue.ett("ETTh1", "2 rows", "none", sha(CSV)),
        name="toy",
        files=(download.File("toy/toy.csv.gz", sha(CSV)),),
        downloads=(download.Download("https://example.org/toy.csv", sha(CSV)),),
    )
    monkeypatch.setitem(catalogue.CATALOGUE, "toy", entry)
    return entry


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    """Makes every download answer with `content`; returns the list that gathers the addresses asked."""
    asked: list[str] = []

    class Answer(io.BytesIO):
        headers = Message()

    def urlopen(url: str, timeout: float) -> Answer:
        asked.append(url)
        return Answer(content)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


def test_the_embedded_flights_are_whole() -> None:
    frame = datasets.load("nyc_flights")
    assert frame.shape == (3 * 8760, 11)
    assert frame.columns[:5] == ["unique_id", "ds", "departures", "delay", "scheduled"]
    assert frame["unique_id"].unique().sort().to_list() == ["EWR", "JFK", "LGA"]
    assert frame.schema["ds"] == pl.Datetime("us", "America/New_York")
    assert frame["scheduled"].sum() == 336_776  # every flight of the source
    assert frame["departures"].sum() == 336_776 - 8_255 - 3  # less the cancelled, and 3 that left in 2014
    steps = frame.select(pl.col("ds").diff().over("unique_id")).drop_nulls()["ds"]
    assert steps.unique().to_list() == [timedelta(hours=1)]


def test_the_flights_keep_the_hours_of_both_clock_changes() -> None:
    frame = datasets.load("nyc_flights").filter(pl.col("unique_id") == "JFK")
    day = pl.col("ds").dt.date()
    assert frame.filter(day == datetime(2013, 3, 10).date()).height == 23
    assert frame.filter(day == datetime(2013, 11, 3).date()).height == 25


def test_flights_without_departures_have_no_delay_and_weather_has_honest_gaps() -> None:
    frame = datasets.load("nyc_flights")
    assert frame.filter(pl.col("delay").is_null() != (pl.col("departures") == 0)).height == 0
    assert frame["temp"].null_count() == 166
    assert (frame["wind_speed"].max() or 0) < 60


@pytest.mark.parametrize("name", SHAPES)
def test_every_set_in_the_folder_loads_with_its_roles(
    name: str, data_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATEWISE_DATA", str(data_folder))
    entry = datasets.info(name)
    frame = datasets.load(name)
    assert frame.shape == SHAPES[name]
    assert frame.columns[:2] == ["unique_id", "ds"]
    assert set(entry.target + entry.observed + entry.known) <= set(frame.columns)
    assert frame.select("unique_id", "ds").is_duplicated().sum() == 0
    assert frame.null_count().sum_horizontal().item() == 0
    assert not cache.exists()


def test_the_table_lists_every_entry_and_where_it_comes_from(cache: Path) -> None:
    table = datasets.table()
    assert table["name"].to_list() == list(datasets.CATALOGUE)
    places = dict(zip(table["name"], table["from"], strict=True))
    assert places["nyc_flights"] == "package"
    assert places["etth1"] == "download"
    assert places["vic_elec"] == "nowhere"


def test_every_entry_names_licence_citation_split_and_origin() -> None:
    for entry in datasets.CATALOGUE.values():
        assert entry.licence
        assert entry.citation
        assert entry.split
        assert entry.origin.startswith("https://")
        sums = [file.sha256 for file in entry.files] + [item.sha256 for item in entry.downloads]
        assert all(len(text) == 64 for text in sums)
        assert entry.downloads or entry.embedded or "Not downloadable" in entry.note


def test_a_text_is_one_row(data_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEWISE_DATA", str(data_folder))
    frame = datasets.load("tiny_shakespeare")
    assert frame.columns == ["text"]
    assert len(frame["text"][0]) == 1_115_394
    assert len(set(frame["text"][0])) == 65
    assert not cache.exists()


def test_a_text_has_no_times_to_average_over() -> None:
    with pytest.raises(ConfigError, match=r"^every: tiny_shakespeare holds no times to average over\.$"):
        datasets.load("tiny_shakespeare", every="1h")


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"^dataset: no such dataset 'eth1'\. Did you mean 'etth1'\?$"):
        datasets.load("eth1")


def test_a_packed_or_plain_file_in_the_folder_is_read(
    small: catalogue.DataSet, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATEWISE_DATA", str(tmp_path))
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toy.csv.gz").write_bytes(gzip.compress(CSV))
    assert datasets.place(small) == "folder"
    assert datasets.load("toy")["OT"].to_list() == [7.0, 9.0]
    (tmp_path / "toy" / "toy.csv.gz").unlink()
    (tmp_path / "toy" / "toy.csv").write_bytes(CSV)
    assert datasets.load("toy")["OT"].to_list() == [7.0, 9.0]


def test_a_changed_file_in_the_folder_is_refused(
    small: catalogue.DataSet, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATEWISE_DATA", str(tmp_path))
    (tmp_path / "toy").mkdir()
    path = tmp_path / "toy" / "toy.csv"
    path.write_bytes(CSV + b" ")
    with pytest.raises(DataError) as caught:
        datasets.load("toy")
    assert str(caught.value) == (
        f"{path}: sha256 is {sha(CSV + b' ')[:16]}…, want {sha(CSV)[:16]}…. "
        "Copy it again from its source, or unset STATEWISE_DATA."
    )


def test_a_download_is_announced_kept_and_not_repeated(
    small: catalogue.DataSet, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = serve(monkeypatch, CSV)
    assert datasets.load("toy").height == 2
    assert "licence CC BY-ND 4.0; cite Zhou" in capsys.readouterr().err
    assert datasets.place(small) == "cache"
    assert datasets.load("toy").height == 2
    assert asked == ["https://example.org/toy.csv"]
    assert [path.name for path in (cache / "toy").iterdir()] == ["toy.csv"]


def test_a_download_with_another_sum_is_refused_and_not_kept(
    small: catalogue.DataSet, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, b"something else")
    with pytest.raises(
        DataError, match=r"^https://example\.org/toy\.csv: sha256 is .* The origin has changed"
    ):
        datasets.load("toy")
    assert not cache.exists()


def test_a_damaged_cache_says_which_file_to_delete(
    small: catalogue.DataSet, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "toy.csv").write_bytes(b"half a fi")
    with pytest.raises(
        DataError, match=r"toy\.csv: sha256 is .* Delete it to download it again from https://"
    ):
        datasets.load("toy")


def test_being_offline_is_one_clear_line(
    small: catalogue.DataSet, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def urlopen(url: str, timeout: float) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(DataError) as caught:
        datasets.load("toy")
    assert str(caught.value) == (
        "toy: could not download https://example.org/toy.csv (<urlopen error no route to host>), and no "
        f"copy is in {cache / 'toy'}. Connect to the network, or set STATEWISE_DATA to a folder that "
        "holds the file."
    )


def test_a_set_without_an_origin_says_where_it_must_lie(cache: Path) -> None:
    with pytest.raises(DataError) as caught:
        datasets.load("vic_elec")
    assert str(caught.value) == (
        "vic_elec: not in the folder STATEWISE_DATA (not set), and https://github.com/tidyverts/tsibbledata "
        "serves no file that can be read here. Set STATEWISE_DATA to a folder that holds "
        "vic_elec/vic_elec.csv.gz."
    )


def test_statewise_data_must_name_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEWISE_DATA", str(tmp_path / "none"))
    with pytest.raises(
        DataError, match=r"^STATEWISE_DATA: '.*none' is no folder\. Set it to one, or unset it\.$"
    ):
        datasets.load("etth1")


def test_a_member_of_a_zip_is_checked_inside_or_as_a_whole(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("in side.csv", CSV)
    served = packed.getvalue()
    serve(monkeypatch, served)
    url = "https://example.org/toy.zip"
    inside = download.Download(url, sha(CSV), member="in side.csv")
    whole = download.Download(url, sha(served), member="in side.csv", whole=True)
    assert download.fetched_bytes("a", inside) == CSV
    assert download.fetched_bytes("b", whole) == CSV
    with pytest.raises(DataError, match="sha256 is"):
        download.fetched_bytes("c", dataclasses.replace(inside, sha256=sha(b"")))
    with pytest.raises(DataError, match=r"^other\.csv: the archive is damaged"):
        download.fetched_bytes("d", dataclasses.replace(whole, member="other.csv"))


def test_a_broken_archive_is_refused() -> None:
    with pytest.raises(DataError, match=r"^x\.gz: the archive is damaged .* Fetch it again\.$"):
        download.unpack(gzip.compress(CSV)[:-9], "x.gz")


def test_the_origin_layout_of_tetouan_gives_the_same_frame() -> None:
    names = "DateTime,Temperature,Humidity,Wind Speed,general diffuse flows,diffuse flows,"
    zones = "Zone 1 Power Consumption,Zone 2  Power Consumption,Zone 3  Power Consumption"
    values = "6.559,73.8,0.083,0.051,0.119,34055.6962,16128.87538,20240.96386"
    origin = f"{names}{zones}\n1/1/2017 0:00,{values}\n1/1/2017 0:10,{values}\n12/30/2017 23:50,{values}\n"
    local = (
        f"{names}{zones}\n2017-01-01 00:00,{values}\n2017-01-01 00:10,{values}\n2017-12-30 23:50,{values}\n"
    )
    frame = readers.read_tetouan([origin.encode()])
    assert frame.equals(readers.read_tetouan([local.encode()]))
    assert frame.row(1)[:3] == ("Tetouan", datetime(2017, 1, 1, 0, 10), 34055.6962)


def test_both_layouts_of_m4_give_the_same_frame() -> None:
    first, step = datetime(2000, 1, 1), timedelta(hours=1)
    packed = json.dumps({"train": {"H1": [1.5, 2.0, 3.0], "H2": [4.0]}, "test": {"H1": [5.0], "H2": [6.0]}})
    train = b'"V1","V2","V3","V4"\n"H1","1.5","2","3"\n"H2","4",,\n'
    test = b'"V1","V2"\n"H1","5"\n"H2","6"\n'
    frame = readers.read_m4([packed.encode()], first, step)
    assert frame.equals(readers.read_m4([train, test], first, step))
    assert frame["y"].to_list() == [1.5, 2.0, 3.0, 5.0, 4.0, 6.0]
    assert frame["ds"][3] == datetime(2000, 1, 1, 3)


def test_every_gives_means_and_keeps_the_order_of_the_series() -> None:
    ds = [datetime(2020, 1, 1, 0, minute) for minute in (0, 10, 50)] + [datetime(2020, 1, 1, 1)]
    frame = pl.DataFrame(
        {"unique_id": ["b"] * 4 + ["a"] * 4, "ds": ds * 2, "y": [1.0, 2.0, 6.0, 5.0, 1.0, None, 3.0, None]}
    )
    hourly = readers.means(frame, "1h")
    assert hourly["unique_id"].to_list() == ["b", "b", "a", "a"]
    assert hourly["y"].to_list() == [3.0, 5.0, 2.0, None]


@pytest.mark.parametrize(
    ("platform", "variable", "tail"),
    [("linux", "XDG_CACHE_HOME", ("statewise",)), ("win32", "LOCALAPPDATA", ("statewise", "cache"))],
)
def test_the_cache_lies_where_the_platform_keeps_caches(
    platform: str, variable: str, tail: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATEWISE_CACHE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert download.cache_folder() == tmp_path.joinpath(*tail)
