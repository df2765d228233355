"""What the parameters of an Open Inference request say, whatever carries them."""

from __future__ import annotations

from service.errors import InvalidRequestError, UnsupportedError

Parameters = dict[str, str | int | float | bool]

RESERVED = "triton_"
SEQUENCE = ("sequence_id", "sequence_start", "sequence_end")


def check_parameters(parameters: Parameters) -> None:
    """Refuse what a request may not say, and what would be silently done without.

    Raises:
        InvalidRequestError: A name is the server's own.
        UnsupportedError: It is a step of a stateful sequence.
    """
    for name in parameters:
        if name.startswith(RESERVED):
            raise InvalidRequestError(
                f"parameters.{name}: names that begin with {RESERVED} are reserved",
                f"parameters.{name}",
            )
    for name in SEQUENCE:
        if parameters.get(name):  # 0, "" and false say that it belongs to none
            raise UnsupportedError(
                f"parameters.{name}: no state is kept between requests: send whole sequences",
                f"parameters.{name}",
            )


def check_memory(parameters: Parameters, within: str) -> None:
    """Refuse a tensor that lies, or is to be put, in shared memory.

    Args:
        parameters: Of the tensor.
        within: Where in the request they are.

    Raises:
        UnsupportedError: It is.
    """
    for name in parameters:
        if name.startswith("shared_memory"):
            raise UnsupportedError(
                f"{within}.{name}: shared memory is not supported; values travel in the body",
                f"{within}.{name}",
            )


def flag_of(parameters: Parameters, name: str, default: bool, within: str) -> bool:
    """A parameter that is true or false.

    Args:
        parameters: That may have it.
        name: Its key.
        default: Where they have not.
        within: Where in the request they are.

    Raises:
        InvalidRequestError: It is neither.
    """
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidRequestError(f"{within}.{name} must be true or false", f"{within}.{name}")
    return value


def count_of(parameters: Parameters, name: str, within: str, unit: str = "") -> int:
    """A parameter that is a count; 0 where they have none.

    Args:
        parameters: That may have it.
        name: Its key.
        within: Where in the request they are.
        unit: What is counted.

    Raises:
        InvalidRequestError: It is no unsigned integer.
    """
    value = parameters.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        what = f"{unit}, an unsigned integer" if unit else "an unsigned integer"
        raise InvalidRequestError(f"{within}.{name} must be {what}", f"{within}.{name}")
    return value


def timeout_s_of(parameters: Parameters) -> float | None:
    """`timeout` of the schedule policy extension, there in microseconds; 0 is the server's own.

    Raises:
        InvalidRequestError: It is no unsigned integer.
    """
    timeout_us = count_of(parameters, "timeout", "parameters", "microseconds")
    return timeout_us / 1e6 if timeout_us else None
