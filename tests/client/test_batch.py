"""Many texts into files: order, isolation, going on where it stopped."""

from __future__ import annotations

import asyncio
import errno
import random
from pathlib import Path
from typing import Any

import pytest

from gateway.client import AsyncClient, BatchResult, BatchTask, Client, GatewayAway, SpeechError, read_tasks
from gateway.client.batch import JOURNAL, Journal, check
from tests.support.fake_gateway import FakeGateway, Peer, end, heard


def tasks(count: int) -> list[BatchTask]:
    return [BatchTask(f"Task {index}.", f"{index}.pcm") for index in range(count)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def starts(gateway: FakeGateway) -> int:
    return sum(message["type"] == "start" for message in gateway.received)


async def test_result_i_belongs_to_task_i_whatever_finishes_first(tmp_path: Path) -> None:
    order = random.Random(5)
    gates = [asyncio.Event() for _ in range(8)]

    async def speak(peer: Peer, message: dict[str, Any]) -> None:
        turn = int(peer.text[message["context"]].split()[1][:-1])
        if turn < len(gates):
            await gates[turn].wait()
        await end(peer, message)

    async def late(peer: Peer, message: dict[str, Any]) -> None:
        speaking.create_task(speak(peer, message))

    came: list[int] = []
    async with (
        asyncio.TaskGroup() as speaking,
        FakeGateway(on={"end": late}) as gateway,
        AsyncClient(gateway.url) as client,
    ):
        for gate in order.sample(gates, len(gates)):
            asyncio.get_running_loop().call_later(order.random() / 100, gate.set)
        results = await client.batch(tasks(40), tmp_path, progress=lambda r: came.append(int(r.path.stem)))
    assert [result.path.name for result in results] == [f"{index}.pcm" for index in range(40)]
    for index, result in enumerate(results):
        assert result.ok
        assert heard(result.path.read_bytes()) == f"Task {index}."
    assert sorted(came) == list(range(40))


async def test_a_task_that_fails_fails_alone_with_its_reason(tmp_path: Path) -> None:
    async def some(peer: Peer, message: dict[str, Any]) -> None:
        context = message["context"]
        if peer.text[context] == "Task 1.":
            await peer.error(context, "engine_failed")
        else:
            await end(peer, message)

    async with FakeGateway(on={"end": some}) as gateway, AsyncClient(gateway.url) as client:
        results = await client.batch(tasks(4), tmp_path)
    assert [result.ok for result in results] == [True, False, True, True]
    error = results[1].error
    assert isinstance(error, SpeechError)
    assert error.code == "engine_failed"
    assert names(tmp_path) == [JOURNAL, "0.pcm", "2.pcm", "3.pcm"]


async def test_what_is_done_is_not_done_again_and_what_has_changed_is(tmp_path: Path) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        await client.batch(tasks(3), tmp_path)
        (tmp_path / "2.pcm").unlink()
        with (tmp_path / JOURNAL).open("ab") as journal:
            journal.write(b'{"task": "torn')
        again = [BatchTask("Another text.", "1.pcm") if task.file == "1.pcm" else task for task in tasks(3)]
        before = starts(gateway)
        results = await client.batch(again, tmp_path)
        assert [result.skipped for result in results] == [True, False, False]
        assert starts(gateway) - before == 2
        assert all(result.skipped for result in await client.batch(again, tmp_path))
    assert heard((tmp_path / "1.pcm").read_bytes()) == "Another text."
    assert results[0].audio_ms is not None


async def test_what_another_try_may_mend_is_tried_again(tmp_path: Path) -> None:
    refusals = 2

    async def full(peer: Peer, message: dict[str, Any]) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            await peer.error(message["context"], "overloaded", retryable=True, retry_after_ms=1)
        else:
            await peer.started(message["context"])

    async with FakeGateway(on={"start": full}) as gateway, AsyncClient(gateway.url) as client:
        (result,) = await client.batch(tasks(1), tmp_path)
    assert result.ok


async def test_a_batch_says_that_it_is_one_and_its_options_go_along(tmp_path: Path) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        await client.batch([BatchTask("Hi.", "a/b/hi.pcm", {"voice": "x"})], tmp_path)
    start = gateway.received[0]
    assert (start["priority"], start["pace"], start["voice"]) == ("batch", "burst", "x")
    assert (tmp_path / "a/b/hi.pcm").exists()


async def test_a_text_that_comes_back_is_spoken_again_where_another_has_taken_its_file(tmp_path: Path) -> None:
    one, other = [BatchTask("One.", "a.pcm")], [BatchTask("Other.", "a.pcm")]
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        for given in (one, other, one):
            (result,) = await client.batch(given, tmp_path)
            assert not result.skipped
            assert heard((tmp_path / "a.pcm").read_bytes()) == given[0].text


async def test_a_folder_that_cannot_be_made_is_its_tasks_failure_alone(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    given = [BatchTask("One.", "taken/a.pcm"), BatchTask("Two.", "b.pcm")]
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        results = await client.batch(given, tmp_path)
    assert [result.ok for result in results] == [False, True]
    assert isinstance(results[0].error, OSError)


async def test_two_batches_are_not_at_work_in_one_folder(tmp_path: Path) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        with Journal(tmp_path), pytest.raises(OSError, match="another batch is at work"):
            await client.batch(tasks(1), tmp_path)
        assert (await client.batch(tasks(1), tmp_path))[0].ok


async def test_what_cannot_be_noted_ends_the_batch_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Journal, "add", full)
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        with pytest.raises(OSError, match="No space left"):
            await client.batch(tasks(3), tmp_path)


async def test_what_a_callers_function_raises_is_what_the_batch_raises(tmp_path: Path) -> None:
    def shown(_: BatchResult) -> None:
        raise KeyError("mine")

    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        with pytest.raises(KeyError, match="mine"):
            await client.batch(tasks(3), tmp_path, progress=shown)


def test_names_that_differ_in_case_are_one_where_the_file_system_says_so() -> None:
    given = [BatchTask("One.", "a/B.pcm"), BatchTask("Two.", "A/b.pcm")]
    check(given)
    with pytest.raises(ValueError, match="two tasks name"):
        check(given, caseless=True)


async def test_a_gateway_that_takes_fewer_at_a_time_is_asked_for_fewer(tmp_path: Path) -> None:
    speaking: set[str] = set()

    async def start(peer: Peer, message: dict[str, Any]) -> None:
        if len(speaking) == 3:
            await peer.error(message["context"], "too_many_contexts")
        else:
            speaking.add(message["context"])
            await peer.started(message["context"])

    async def over(peer: Peer, message: dict[str, Any]) -> None:
        speaking.discard(message["context"])
        await end(peer, message)

    async with FakeGateway(on={"start": start, "end": over}) as gateway, AsyncClient(gateway.url) as client:
        results = await client.batch(tasks(40), tmp_path, concurrency=20)
    assert [result.ok for result in results] == [True] * 40


async def test_without_a_gateway_a_batch_ends_and_keeps_what_was_done(tmp_path: Path) -> None:
    async with FakeGateway() as gateway, AsyncClient(gateway.url) as client:
        await client.batch(tasks(1), tmp_path)
        url = gateway.url
    async with AsyncClient(url) as client:
        with pytest.raises(GatewayAway):
            await client.batch(tasks(3), tmp_path, retries=0)
    assert heard((tmp_path / "0.pcm").read_bytes()) == "Task 0."


async def test_the_blocking_client_does_batches_with_a_bar(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def blocking(url: str) -> list[BatchResult]:
        with Client(url) as client:
            return client.batch(tasks(3), tmp_path, progress=True)

    async with FakeGateway() as gateway:
        results = await asyncio.to_thread(blocking, gateway.url)
    assert [result.ok for result in results] == [True] * 3
    assert "3/3" in capfd.readouterr().err


def test_tasks_are_read_from_lines_in_todays_words_and_in_older_ones() -> None:
    read = read_tasks(
        [
            '{"text": "One.", "file": "one.mp3", "voice": "heart", "speed": 1.5}',
            "",
            b'{"prompt": "Two.", "output_filename": "two.wav", "voice_type": "BV001"}',
            '{"text": "Three."}',
        ],
        ".opus",
    )
    assert read == [
        BatchTask("One.", "one.mp3", {"voice": "heart", "speed": 1.5}),
        BatchTask("Two.", "two.wav", {"voice": "BV001"}),
        BatchTask("Three.", "00004.opus"),
    ]


@pytest.mark.parametrize("line", ['\ufeff{"text": "One."}', b'\xef\xbb\xbf{"text": "One."}'])
def test_a_file_may_begin_with_a_byte_order_mark(line: str | bytes) -> None:
    assert read_tasks([line]) == [BatchTask("One.", "00001.wav")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: this is not JSON"),
        ("[]", "line 2: a task is a JSON object"),
        ("{}", "line 2: a task needs a 'text'"),
        ('{"text": "  "}', "line 2: a task needs a 'text'"),
        ('{"text": "Hi.", "colour": "red"}', "line 2: there is no option 'colour'"),
        ('{"text": "Hi.", "file": 5}', "line 2: 'file' must be a string"),
        ('{"text": "Hi.", "file": "../a.wav"}', "no name of a file within"),
        ('{"text": "Hi.", "file": "/a.wav"}', "no name of a file within"),
        ('{"text": "Hi.", "file": ""}', "no name of a file within"),
        ('{"text": "Hi.", "file": "00001.wav"}', "two tasks name"),
        ('{"text": "Hi.", "file": "00001.wav/b.wav"}', "a file for one task and a folder"),
    ],
)
def test_a_wrong_line_is_named_before_anything_is_begun(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_tasks(['{"text": "First."}', line])
