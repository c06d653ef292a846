"""Ctrl-C that waits until the program has reached a point where it can stop."""

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
    """Record the first Ctrl-C within the context instead of interrupting; a second one interrupts at once.

    The end of the context raises KeyboardInterrupt if Ctrl-C was pressed. Only Python's default handler is replaced,
    and only in the main thread; otherwise the context does nothing.
    """
    interruption = Interruption()
    main = threading.current_thread() is threading.main_thread()
    if not active or not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interruption
        return

    def record(number, frame):
        interruption.pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, record)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if interruption.pressed:
        raise KeyboardInterrupt
