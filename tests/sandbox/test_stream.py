"""The frames of a run, however the way they come damages them."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.stream import FROM_RUN, MAX_FRAME, MAX_MESSAGE, MAX_TEXT, TO_RUN, Message, Receiver, Sender

KEY = bytes(range(32))
MESSAGES = st.lists(
    st.tuples(st.sampled_from(["output", "tried"]), st.text("ab c{}", max_size=30)), min_size=1, max_size=20
)


def heard(receiver: Receiver, data: bytes) -> list[tuple[str, str]]:
    return [(message.kind, message.text) for message in receiver.feed(data)]


@given(MESSAGES, st.randoms(use_true_random=False))
def test_what_is_sent_arrives_however_it_is_cut(messages: list[tuple[str, str]], chance: random.Random) -> None:
    sender, receiver = Sender(FROM_RUN, KEY), Receiver(FROM_RUN, KEY)
    data = b"".join(sender.frames(kind, text) for kind, text in messages)
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(5))

    got = [
        each
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)
        for each in heard(receiver, data[start:end])
    ]

    assert got == messages


@settings(deadline=None)
@given(MESSAGES, st.randoms(use_true_random=False))
def test_damaged_frames_are_made_good_by_resuming(messages: list[tuple[str, str]], chance: random.Random) -> None:
    sender, receiver = Sender(FROM_RUN, KEY), Receiver(FROM_RUN, KEY)
    frames = [sender.frames(kind, text) for kind, text in messages]
    damaged = [chance.choice((frame, frame[:-5], b"", frame * 2, b"x" + frame[1:])) for frame in frames]
    chance.shuffle(damaged)

    got = heard(receiver, b"".join(damaged) + b"\n")
    got += heard(receiver, sender.again(receiver.resumed()))

    assert got == messages


@given(st.binary(max_size=2000))
def test_noise_is_never_a_message(noise: bytes) -> None:
    receiver = Receiver(FROM_RUN, KEY)

    assert heard(receiver, noise + b"\n") == []
    assert receiver.received == 0


def test_a_frame_with_another_key_or_of_the_other_direction_is_broken() -> None:
    receiver = Receiver(FROM_RUN, KEY)

    assert heard(receiver, Sender(FROM_RUN, b"another").frames("receipt", "{}")) == []
    assert heard(receiver, Sender(TO_RUN, KEY).frames("receipt", "{}")) == []
    assert receiver.broken == 2


def test_a_long_message_travels_in_frames_of_bounded_size() -> None:
    sender, receiver = Sender(FROM_RUN, KEY), Receiver(FROM_RUN, KEY)
    text = "x" * (3 * MAX_TEXT + 1)

    data = sender.frames("result", text)

    assert max(len(line) for line in data.split(b"\n")) < MAX_FRAME
    assert heard(receiver, data) == [("result", text)]


def test_an_endless_line_costs_no_memory_and_only_itself() -> None:
    sender, receiver = Sender(FROM_RUN, KEY), Receiver(FROM_RUN, KEY)

    for _ in range(100):
        assert heard(receiver, b"x" * MAX_FRAME) == []
        assert len(receiver._line) < MAX_FRAME  # pyright: ignore[reportPrivateUsage]
    assert heard(receiver, b"\n" + sender.frames("output", "[]")) == [("output", "[]")]
    assert receiver.broken == 1


@pytest.mark.slow
def test_a_message_larger_than_any_is_dropped() -> None:
    sender, receiver = Sender(FROM_RUN, KEY), Receiver(FROM_RUN, KEY)

    assert heard(receiver, sender.frames("result", "x" * (MAX_MESSAGE + 1))) == []
    assert heard(receiver, sender.frames("output", "[]")) == [("output", "[]")]


def test_a_late_worker_is_ignored_and_a_later_one_takes_over() -> None:
    first, second = Sender(TO_RUN, KEY, attempt=1), Sender(TO_RUN, KEY, attempt=2)
    receiver = Receiver(TO_RUN, KEY, attempt=1)

    assert heard(receiver, first.frames("start", "null")) == [("start", "null")]
    assert heard(receiver, second.frames("stop", "null")) == [("stop", "null")]
    assert heard(receiver, first.frames("answer", "{}")) == []
    assert receiver.late == 1


def test_what_is_acknowledged_is_not_kept() -> None:
    sender = Sender(FROM_RUN, KEY)
    for _ in range(5):
        sender.frames("output", "[]")

    sender.acknowledge(3)

    assert sender.unacknowledged == 2
    assert [message.frame for message in _from(3, sender.again(1))] == [4, 5]


def _from(received: int, data: bytes) -> list[Message]:
    receiver = Receiver(FROM_RUN, KEY)
    receiver.received = received
    return list(receiver.feed(data))
