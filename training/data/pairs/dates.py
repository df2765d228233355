"""Dates as they are written in several languages, to ISO 8601; made with Babel, so any number.

No two parts share a date, so that a test asks for what was never seen.
"""

from __future__ import annotations

import datetime
import random

from babel.dates import format_date

from training.data.pairs.pairs import Pair, Pairs

LANGUAGES = ("da", "de", "en", "es", "fr", "it", "nl", "pl", "pt", "sv")
FORMATS = ("medium", "long", "full")  # `short` has the month first in one language, last in another
FIRST, LAST = datetime.date(1950, 1, 1), datetime.date(2049, 12, 31)
NUM_TRAIN, NUM_VALIDATION, NUM_TEST = 20_000, 1_000, 2_000
LICENCE = "made; names of days and months: Unicode License v3, CLDR through Babel"


def load_dates() -> Pairs:
    """Written dates to ISO dates."""
    days = list(range((LAST - FIRST).days + 1))
    draw = random.Random(0)
    draw.shuffle(days)
    dates = [FIRST + datetime.timedelta(days=day) for day in days]
    ends = NUM_TRAIN, NUM_TRAIN + NUM_VALIDATION, NUM_TRAIN + NUM_VALIDATION + NUM_TEST
    train, validation, test = (
        [written(date, draw) for date in dates[first:last]]
        for first, last in zip((0, *ends), ends, strict=False)
    )
    words = "dates that are in no other part; language and format drawn for each"
    return Pairs("written dates", train, validation, test, LICENCE, words)


def written(date: datetime.date, draw: random.Random) -> Pair:
    """A date in one language and format."""
    language, form = draw.choice(LANGUAGES), draw.choice(FORMATS)
    return Pair(format_date(date, form, locale=language), (date.isoformat(),))
