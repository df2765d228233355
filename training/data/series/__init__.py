"""Series in regular steps."""
