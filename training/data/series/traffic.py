"""Metro Interstate Traffic Volume: cars an hour on the I-94 near Minneapolis, October 2016 on.

Home: https://archive.ics.uci.edu/dataset/492, CC BY 4.0 (John Hogue). Two years of it, hour by
hour in local time with 104 hours missing, lie in the package AutoTS. The days of the year that are
federal holidays are known beforehand: the covariate `holiday`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from pathlib import Path

from service.tasks.forecasting.frequency import read_frequency
from training.data.fetching import fetched
from training.data.series.series import Series, read_series

COMMIT = "d469d0eac7ad75cef1764a33ffca9450026e97c1"
URL = (
    f"https://raw.githubusercontent.com/winedarksea/AutoTS/{COMMIT}"
    "/autots/datasets/data/traffic_hourly.zip"
)
FILE = "traffic_hourly.zip"
SHA256 = "71416c6c5adf1e322c3a9483c70ea44dbbcac4ef3d47aa346d763b77478f35ad"
NAME = "Metro Interstate Traffic Volume (UCI 492), 2016-10 to 2018-09"
LICENCE = "CC BY 4.0, Metro Interstate Traffic Volume (John Hogue, UCI Machine Learning Repository)"

HOURLY = read_frequency("h")

HOLIDAYS = {
    "2016": "10-10 11-11 11-24 12-26",
    "2017": "01-02 01-16 02-20 05-29 07-04 09-04 10-09 11-10 11-23 12-25",
    "2018": "01-01 01-15 02-19 05-28 07-04 09-03",
}
"""Federal holidays of the United States, as observed."""


def load_traffic() -> Series:
    """The series with its covariate `holiday`.

    Raises:
        ValueError: The archive is another than it should be.
        OSError: It can't be read or downloaded.
    """
    content = find_archive().read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{FILE} has sha256 {digest}, expected {SHA256}")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return read_series(with_holidays(text), FILE, "time", "cars", ["holiday"], HOURLY)


def with_holidays(text: str) -> str:
    """The columns `time,cars,holiday` of the published CSV's text."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["time", "cars", "holiday"])
    for row in csv.DictReader(io.StringIO(text)):
        time = row["datetime"].replace(" ", "T")
        writer.writerow([time, row["traffic_volume"], int(time[5:10] in HOLIDAYS[time[:4]])])
    return written.getvalue()


def find_archive() -> Path:
    """The archive, downloaded once."""
    return fetched(URL, FILE)
