"""Ctrl-C at a moment of the program's choosing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interruption:
    """Whether Ctrl-C was pressed."""

    def __init__(self):
        self.pressed = False


@contextmanager
def defer_interrupt(active: bool = True) -> Iterator[Interruption]:
    """Note a first Ctrl-C within the context; a second one interrupts at once, as always.

    Only Python's own handler, in the main thread, is replaced. A Ctrl-C that the context did not act upon counts at its
    end.
    """
    interruption = Interruption()
    main = threading.current_thread() is threading.main_thread()
    if not active or not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interruption
        return

    def note(number, frame):
        interruption.pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if interruption.pressed:
        raise KeyboardInterrupt
