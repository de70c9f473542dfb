"""How engine time is shared between pictures and what goes on beside them."""

RUN = 0.1  # seconds that a training waits for, to work them off at a stretch: each change costs warm caches


class Sharing:
    """The account of both, in seconds, while both have something to do."""

    def __init__(self, share: float) -> None:
        """share: of the time, 0 to 1, that goes to trainings while pictures wait."""
        self._share = share
        self._ahead = 0.0
        self._step = 0.0  # what the training's last step took
        self._running = False  # whether that was the training's

    @property
    def training_is_next(self) -> bool:
        """Whether one more step like its last one, or a run to begin, keeps it within its share; pictures
        begin, for people wait for those."""
        wanted = self._step if self._running else max(self._step, RUN)
        return self._ahead + wanted * (1 - self._share) < 0

    def trained(self, seconds: float) -> None:
        self._step, self._running = seconds, True
        self._ahead += seconds * (1 - self._share)

    def painted(self, seconds: float) -> None:
        self._running = False
        self._ahead -= seconds * self._share

    def settle(self) -> None:
        """One of them has nothing to do: nobody owes the other anything for it."""
        self._ahead = 0.0
