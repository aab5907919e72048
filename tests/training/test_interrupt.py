"""Ctrl-C waits for the end of a step; a second one does not, and nobody else's handling is touched."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from statewise.training.interrupt import between_steps


@pytest.fixture(autouse=True)
def as_at_a_prompt() -> Iterator[None]:
    """Python's own handling: a shell starts what runs in the background with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_waits_for_the_end_of_a_step() -> None:
    done = []

    def run() -> None:
        with between_steps() as check:
            for step in range(3):
                if step == 1:
                    press()
                done.append(step)
                check()

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == [0, 1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_one_does_not_wait() -> None:
    done = []

    def run() -> None:
        with between_steps():
            press()
            done.append(1)
            press()
            done.append(2)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_that_handles_it_itself_is_left_alone() -> None:
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(1))
    try:
        with between_steps() as check:
            press()
            check()
        assert pressed == [1]
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_nothing_is_set() -> None:
    seen = []

    def run() -> None:
        with between_steps() as check:
            check()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
