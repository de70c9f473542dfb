"""One budget for all that is under way at once: many small things together are a large one."""


class Budget:
    """So many bytes; who takes some gives them back."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, many: int) -> bool:
        """Whether so many are left; then they are taken."""
        if many > self._left:
            return False
        self._left -= many
        return True

    def give(self, many: int) -> None:
        """So many are free again."""
        self._left += many
