from gateway.clock import Clock
from gateway.events import SpeechRequest
from gateway.session.recording import Recording, Recordings


class Time:
    now = 100.0


def recordings(limit: int, time: Time) -> Recordings:
    return Recordings(limit, 60.0, Clock(now=lambda: time.now))


def opened(kept: Recordings, key: str) -> Recording:
    return kept.open(key, 24000, SpeechRequest(record=True))


def test_the_oldest_that_are_over_make_room_for_what_is_spoken() -> None:
    kept = recordings(400, Time())
    for number in range(10):
        recording = opened(kept, str(number))
        recording.add(bytes(80))
        recording.close(complete=True)
        assert recording.complete
    assert [kept.find(str(number)) is not None for number in range(10)] == [False] * 5 + [True] * 5


def test_without_anything_to_drop_a_recording_is_truncated() -> None:
    kept = recordings(400, Time())
    spoken = [opened(kept, str(number)) for number in range(5)]
    for recording in spoken:
        recording.add(bytes(100))
    assert [recording.size for recording in spoken] == [100, 100, 100, 100, 0]
    spoken[4].close(complete=True)
    assert (spoken[4].truncated, spoken[4].complete) == (True, False)


def test_one_alone_may_take_a_quarter() -> None:
    recording = opened(recordings(400, Time()), "a")
    recording.add(bytes(100))
    recording.add(bytes(2))
    assert (recording.size, recording.truncated) == (100, True)


def test_what_is_over_is_forgotten_in_time_and_its_room_is_free_again() -> None:
    time = Time()
    kept = recordings(400, time)
    for number in range(4):
        recording = opened(kept, str(number))
        recording.add(bytes(100))
        recording.close(complete=True)
    time.now += 61.0
    assert kept.find("0") is None
    assert len(kept) == 0
    again = opened(kept, "again")
    again.add(bytes(100))
    assert again.size == 100
