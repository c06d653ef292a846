"""Ctrl-C waits for the end of a context, once."""

import signal

import pytest

from recbole_sigma.training.interrupt import defer_interrupt


def test_the_first_ctrl_c_waits_and_the_second_one_does_not():
    with pytest.raises(KeyboardInterrupt):
        with defer_interrupt() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert interruption.pressed
    reached = []
    with pytest.raises(KeyboardInterrupt):
        with defer_interrupt():
            signal.raise_signal(signal.SIGINT)
            reached.append(1)
            signal.raise_signal(signal.SIGINT)
            reached.append(2)
    assert reached == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_handlers_stay():
    mine = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with defer_interrupt() as interruption:
            signal.raise_signal(signal.SIGINT)
        assert not interruption.pressed and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, mine)
