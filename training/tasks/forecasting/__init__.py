"""Forecasts of series: mean and quantiles."""
