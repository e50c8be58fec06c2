"""In which order a reader sees the displays, and which of them again.

All of it follows by hash from the seed, the study and the reader, so nothing of it is kept, and a
reader who comes back goes on where he was.
"""

from __future__ import annotations

from dataclasses import dataclass

from scalemai.annotation.leases import opaque
from scalemai.annotation.rules import share_of
from scalemai.annotation.turing.studies import Display, Study

__all__ = ["Trial", "trials_of"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that a reader is asked.

    Parameters
    ----------
    trial_id
        Opaque; of a repeat it is another than of the trial that it repeats.
    place
        From 0, in the reader's order.
    display
        What is shown.
    repeat
        0, or 1 if it was shown before.
    """

    trial_id: str
    place: int
    display: Display
    repeat: int


def trials_of(study: Study, reader_id: str) -> tuple[Trial, ...]:
    """Everything that a reader is asked, in his order.

    The order is drawn anew for every reader. Of those displays that leave room for it, some come
    again, anywhere from ``repeat_distance`` other trials later on.
    """
    design, name = study.design, f"{study.study_id}\n{reader_id}"

    def drawn(purpose: str, display: Display) -> float:
        return share_of(design.seed, f"turing {purpose}\n{name}", display.key)

    first = sorted(study.displays, key=lambda one: (drawn("order", one), one.key))
    count = len(first)
    apart = min(design.repeat_distance, count // 2) + 1
    able = [place for place in range(count) if place + apart <= count]
    able.sort(key=lambda place: drawn("repeat", first[place]))
    turns = [(float(place), 0, display) for place, display in enumerate(first)]
    for place in able[: round(design.repeat_share * count)]:
        free = count - place - apart + 1
        before = place + apart + int(drawn("place", first[place]) * free)
        # Between two first displays, and behind the other repeats there in the order of a hash.
        turns.append((before - 1 + (1 + drawn("place", first[place])) / 3, 1, first[place]))
    turns.sort(key=lambda turn: (turn[0], turn[2].key))
    return tuple(
        Trial(opaque("trial", name, str(place)), place, display, repeat)
        for place, (_, repeat, display) in enumerate(turns)
    )
