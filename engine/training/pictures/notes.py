"""What is noted of the pictures of a training: all of few; of many those that matter most, and counts."""

from collections import Counter
from dataclasses import replace

from engine.messages import PictureNote

SHOWN = 100  # notes without a problem, and with one


class PictureNotes:
    """Notes in the order of the pictures, `shown` with their `places`; `left_out` counts by reason."""

    def __init__(self) -> None:
        self.checked = 0
        self.shown: list[PictureNote] = []
        self.places: list[int] = []
        self.left_out: Counter[str] = Counter()
        self.last: PictureNote | None = None
        self.last_shown = False
        self._with_problems = 0
        self._used = 0

    @property
    def used(self) -> int:
        """How many pictures are used."""
        return self._used

    def add(self, note: PictureNote, reason: str = "") -> None:
        """Add the next picture's. reason: why it is left out, as in "12 too small"."""
        place, self.checked = self.checked, self.checked + 1
        self._used += note.used
        if not note.used:
            self.left_out[reason] += 1
        fine = len(self.shown) - self._with_problems
        self.last, self.last_shown = note, (self._with_problems if note.problems else fine) < SHOWN
        if not self.last_shown:
            return
        self._with_problems += bool(note.problems)
        self.shown.append(note)
        self.places.append(place)

    def add_problem(self, sentence: str) -> None:
        """Add a problem to the last picture's note, if it is shown."""
        if self.last is not None and self.last_shown:
            self.shown[-1] = replace(self.last, problems=(*self.last.problems, sentence))

    @property
    def summary(self) -> tuple[str, ...]:
        """A sentence on what is left out, where not all of it is shown."""
        if not self.left_out or self.checked == len(self.shown):
            return ()
        return (f"Left out: {self.reasons}.",)

    @property
    def reasons(self) -> str:
        """How many are left out for which reason, the most frequent first."""
        return ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.most_common())
