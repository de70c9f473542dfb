"""A budget of bytes for all that is under way at once."""


class Budget:
    """So many bytes; who reserves some frees them again."""

    def __init__(self, most: int) -> None:
        self._left = most

    def reserve(self, size: int) -> bool:
        """Whether so many are left; then they are reserved."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def free(self, size: int) -> None:
        """So many are free again."""
        self._left += size
