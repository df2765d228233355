"""How much of all requests' bodies is held at a time."""

from __future__ import annotations

from service.errors import OverloadedError, PayloadTooLargeError


class Bodies:
    """The bytes of what is not answered yet; used on the event loop alone.

    Args:
        max_bytes: Of all together.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        """Held now."""

    def has_room(self, num_bytes: int) -> bool:
        """Whether there is room for so many more."""
        return self.num_bytes + num_bytes <= self.max_bytes


class Holding:
    """One request's part of it.

    Args:
        bodies: All.
    """

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.num_bytes = 0

    def add(self, num_bytes: int) -> None:
        """Hold more.

        Raises:
            OverloadedError: Others hold too much.
            PayloadTooLargeError: There would never be room for this one alone.
        """
        bodies = self._bodies
        if not bodies.has_room(num_bytes):
            if self.num_bytes + num_bytes > bodies.max_bytes:
                raise PayloadTooLargeError(
                    f"the body exceeds the limit of {bodies.max_bytes} bytes for all bodies"
                )
            raise OverloadedError("the bodies of the requests under way take all room there is")
        self.force(num_bytes)

    def force(self, num_bytes: int) -> None:
        """Hold more, whether there is room or not."""
        self._bodies.num_bytes += num_bytes
        self.num_bytes += num_bytes

    def release(self) -> None:
        """Hold nothing any more."""
        self._bodies.num_bytes -= self.num_bytes
        self.num_bytes = 0
