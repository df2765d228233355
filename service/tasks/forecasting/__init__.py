"""Forecasting: a series' history and what is known of its future in, mean and quantiles out.

`settings.py` is what a bundle says, `times.py` reads time stamps, `series.py` requests, `steps.py`
makes the graph's steps and `quantiles.py` the quantiles asked for; `task.py` words it all.
"""
