"""The share of engine time between pictures and background work, such as a training."""

RUN = 0.1  # seconds of training in one run: each change between pictures and training costs warm caches


class TimeShare:
    """The balance of both in seconds, while both have something to do."""

    def __init__(self, share: float) -> None:
        """share: the part of the time, 0 to 1, that goes to background work while pictures wait."""
        self._share = share
        self._ahead = 0.0
        self._step = 0.0  # seconds of the last background step
        self._running = False  # whether the last step was a background step

    @property
    def training_is_next(self) -> bool:
        """Whether another background step, or a run of them, stays within its share. Pictures come first."""
        seconds = self._step if self._running else max(self._step, RUN)
        return self._ahead + seconds * (1 - self._share) < 0

    def record_training(self, seconds: float) -> None:
        """Note the seconds of a background step."""
        self._step, self._running = seconds, True
        self._ahead += seconds * (1 - self._share)

    def record_painting(self, seconds: float) -> None:
        """Note the seconds of a step of pictures."""
        self._running = False
        self._ahead -= seconds * self._share

    def reset(self) -> None:
        """Balance the account, since one of both has nothing to do."""
        self._ahead = 0.0
