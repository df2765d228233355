"""The scheduler of decoders: see scheduler.py."""

from service.schedulers.decoding.job import DecodingJob
from service.schedulers.decoding.scheduler import DecodingScheduler

__all__ = ["DecodingJob", "DecodingScheduler"]
