"""The Open Inference Protocol's extensions beside inference, one file each.

What of them is there, `GET /v2` names; what is not, answers so.
"""
