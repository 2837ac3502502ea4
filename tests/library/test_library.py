"""Voices are made, found by their owner alone, spoken with and forgotten."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from gateway.errors import (
    BadRequest,
    EngineError,
    LibraryFull,
    Overloaded,
    RateLimited,
    UnknownLibraryVoice,
    UnknownVoice,
    VoiceExists,
)
from gateway.events import Cancelled, Ended, Failed, SpeechRequest
from gateway.library import Base64, Wish
from gateway.library.clip import SAMPLE_RATE
from providers.base import BadClip, EngineUnavailable
from tests.library.rig import calling, design
from tests.support.engines import RATE, Making, Raise, Say, Scripted, Wait, sound
from tests.support.rig import Listener, gateway
from tests.support.sound_files import SECONDS
from tests.support.sound_files import made as file
from tests.support.virtual_time import settle, virtual_time


async def test_a_voice_is_made_from_a_clip_and_spoken_with_by_its_id() -> None:
    engine = Making()
    async with gateway(engine) as made:
        voice = await made.library.create_from_clip(
            "", Wish(name="My Voice", language="en-US"), file("mp3"), transcript="What I say."
        )
        assert (voice.id, voice.kind, voice.provider) == ("my-voice", "cloned", "making")
        (clip,) = engine.clips
        assert (clip.sample_rate, clip.transcript) == (SAMPLE_RATE, "What I say.")
        assert len(clip.pcm) // 2 == pytest.approx(SECONDS * SAMPLE_RATE, abs=2 * 1152)
        listener = Listener(made, voice="my-voice").start().say("Hello.")
        assert isinstance(await listener.done(), Ended)
        (segment,) = engine.segments
        assert (segment.voice.id, segment.voice.name, segment.voice.language) == ("my-voice", "My Voice", "en-US")
        assert segment.voice.prompt is not None
        assert segment.voice.prompt.startswith(engine.MARK)


async def test_a_clip_comes_as_pieces_too() -> None:
    engine = Making()

    async def pieces() -> object:
        for start in range(0, len(file("wav")), 1000):
            yield file("wav")[start : start + 1000]

    async with gateway(engine) as made:
        await made.library.create_from_clip("", Wish(name="Anna"), pieces())
        heard = await made.library.clips.hear(file("wav"))
        assert engine.clips[0].pcm == heard.pcm


@pytest.mark.parametrize("between", ["\n", "\r\n", "\r", " ", "\t"])
async def test_base64_may_have_line_breaks_and_blanks(between: str) -> None:
    engine = Making()
    async with gateway(engine) as made:
        text = base64.encodebytes(file("wav")).decode().replace("\n", between)
        assert between in text
        await made.library.create_from_clip("", Wish(name="Anna"), Base64(text))


@virtual_time
async def test_a_voice_is_made_from_a_description() -> None:
    engine = Making()
    async with gateway(engine) as made:
        wish = Wish(name="Old man", id="old.man", language="en-GB")
        voice = await made.library.create_from_description("", wish, "a calm old man")
        assert (voice.id, voice.kind, voice.description) == ("old.man", "designed", "a calm old man")
        assert engine.descriptions == [("a calm old man", "en-GB")]
        listener = Listener(made, voice="old.man").start().say("Hello.")
        assert isinstance(await listener.done(), Ended)


@virtual_time
async def test_a_voice_is_its_owners_alone() -> None:
    async with gateway(Making()) as made:
        await design(made, "Anna", owner="web")
        await design(made, "Anna", owner="phone", id="hers")
        with calling("web"):
            assert made.sessions.plan(SpeechRequest(voice="anna")).voice.name == "Anna"
            with pytest.raises(UnknownVoice):
                made.sessions.plan(SpeechRequest(voice="hers"))
        for other in ("phone", "desk", ""):
            with calling(other), pytest.raises(UnknownVoice):
                made.sessions.plan(SpeechRequest(voice="anna"))
        assert [voice.id for voice in made.library.list("web")] == ["anna"]
        assert made.library.list("desk") == []
        with pytest.raises(UnknownLibraryVoice):
            made.library.get("phone", "anna")
        with pytest.raises(UnknownLibraryVoice):
            await made.library.remove("phone", "anna")
        assert made.library.find("web", "anna") is not None


@virtual_time
async def test_a_voice_is_found_at_its_own_engine_only() -> None:
    engine = Making()
    async with gateway(engine) as made:
        await design(made)
        assert made.sessions.plan(SpeechRequest(voice="anna", provider="making")).kept is not None
        assert made.library.find("", "anna", "another") is None
        assert made.sessions.plan(SpeechRequest()).kept is None


@virtual_time
async def test_an_engine_that_is_gone_or_broken_says_so_when_its_voice_is_asked_for() -> None:
    engine = Making()
    async with gateway(engine) as made:
        voice = await design(made)
        made.providers._engines[0]._error = EngineUnavailable("it is away")
        assert not made.library.usable(voice)
        with pytest.raises(EngineError, match="it is away"):
            made.sessions.plan(SpeechRequest(voice="anna"))


@virtual_time
async def test_an_id_that_an_engine_or_another_voice_of_the_owners_has_is_not_given_again() -> None:
    engine = Making()
    async with gateway(engine) as made:
        await design(made)
        for name, id in (("Anna", "anna"), ("Anna!", "anna"), ("Else", "anna"), ("One", "one")):
            with pytest.raises(VoiceExists):
                await design(made, name, id=id)
        assert len(engine.descriptions) == 1
        await made.library.remove("", "anna")
        await design(made)


@virtual_time
async def test_a_voice_that_is_removed_while_it_speaks_speaks_on() -> None:
    engine = Making()
    hold = asyncio.Event()
    engine.otherwise(Say(sound(100)), Wait(hold), Say(sound(100)))
    async with gateway(engine) as made:
        await design(made)
        listener = Listener(made, voice="anna").start().say("Hello. And again, this is the second sentence.")
        planned = Listener(made, voice="anna")
        await settle()
        await made.library.remove("", "anna")
        with pytest.raises(UnknownVoice):
            made.sessions.plan(SpeechRequest(voice="anna"))
        hold.set()
        assert isinstance(await listener.done(), Ended)
        assert len(listener.sound) == 2 * len(sound(200))
        # Who was promised it and comes too late is told so.
        failed = await planned.start().say("Hello.").done()
        assert isinstance(failed, Failed)
        assert (failed.error.code, len(engine.segments)) == ("unknown_voice", 2)


@virtual_time
async def test_a_voice_that_is_removed_while_its_prompt_is_read_is_gone_and_nothing_of_it_stays() -> None:
    async with gateway(Making()) as made:
        voice = await design(made)
        made.library._prompts.forget(voice.token)
        kept, read, hold = await made.library._store.prompt(voice), asyncio.Event(), asyncio.Event()

        async def prompt(_: object) -> bytes | None:
            read.set()
            await hold.wait()
            return kept

        made.library._store.prompt = prompt  # type: ignore[method-assign]
        asked = asyncio.create_task(made.library.voice(voice))
        await read.wait()
        await made.library.remove("", "anna")
        hold.set()
        with pytest.raises(UnknownVoice):
            await asked
        assert not made.library._prompts._kept


@virtual_time
async def test_a_session_that_is_cancelled_while_its_voice_is_fetched_is_cancelled() -> None:
    async with gateway(Making()) as made:
        voice = await design(made)
        made.library._prompts.forget(voice.token)
        hang = asyncio.Event()

        async def prompt(_: object) -> None:
            await hang.wait()

        made.library._store.prompt = prompt  # type: ignore[method-assign]
        listener = Listener(made, voice="anna").start()
        await settle()
        listener.session.cancel()
        assert isinstance(await listener.done(), Cancelled)


def tamper(folder: Path) -> None:
    (path,) = folder.glob("*.voice")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


async def test_a_voice_that_was_tampered_with_is_not_given_to_its_engine(tmp_path: Path) -> None:
    engine = Making()
    async with gateway(engine, voices_dir=tmp_path) as made:
        await design(made)
        tamper(tmp_path)
        failed = await Listener(made, voice="anna").start().say("Hello.").done()
        assert isinstance(failed, Failed)
        assert (failed.error.code, "damaged" in failed.error.message) == ("engine_failed", True)
        assert engine.segments == []


async def test_a_restart_loses_no_voice_on_the_disk(tmp_path: Path) -> None:
    async with gateway(Making(), voices_dir=tmp_path) as made:
        voice = await design(made, owner="web")
    engine = Making()
    async with gateway(engine, voices_dir=tmp_path) as made:
        with calling("web"):
            assert made.library.list("web") == [voice]
            assert isinstance(await Listener(made, voice="anna").start().say("Hello.").done(), Ended)
        assert engine.segments[0].voice.prompt is not None
        await made.library.remove("web", "anna")
    async with gateway(Making(), voices_dir=tmp_path) as made:
        assert made.library.list("web") == []


# ---- bounds


@virtual_time
async def test_a_key_has_so_many_voices() -> None:
    engine = Making()
    async with gateway(engine, voices_per_key=2) as made:
        for name in ("A", "B"):
            await design(made, name, owner="web")
        with pytest.raises(LibraryFull, match="2 voices"):
            await design(made, "C", owner="web")
        assert len(engine.descriptions) == 2
        await design(made, "C", owner="phone")


@virtual_time
async def test_all_voices_have_so_many_bytes() -> None:
    async with gateway(Making(prompt=1000), voices_bytes=1500) as made:
        await design(made, "A", owner="web")
        with pytest.raises(LibraryFull):
            await design(made, "B", owner="phone")
        assert made.library.list("phone") == []


@virtual_time
async def test_a_key_makes_so_many_in_a_window_those_that_failed_too() -> None:
    engine = Making()
    async with gateway(engine, voice_rate_limit=3, rate_limit_window=60.0) as made:
        await design(made, "A", owner="web")
        engine.making = (Raise(BadClip("no")),)
        for _ in range(2):
            with pytest.raises(BadRequest):
                await design(made, "B", owner="web")
        engine.making = ()
        with pytest.raises(RateLimited):
            await design(made, "B", owner="web")
        await design(made, "B", owner="phone")
        await asyncio.sleep(61.0)
        await design(made, "B", owner="web")


@virtual_time
async def test_an_engine_that_makes_no_voices_is_not_asked_to() -> None:
    async with gateway(Scripted()) as made:
        with pytest.raises(BadRequest, match="no engine here makes voices from descriptions"):
            await design(made)
        with pytest.raises(BadRequest, match="'scripted' makes no voices from clips"):
            await made.library.create_from_clip("", Wish(name="A", provider="scripted"), b"")
        with pytest.raises(BadRequest, match="no such engine"):
            await design(made, provider="nobody")


@virtual_time
async def test_a_description_has_a_length() -> None:
    async with gateway(Making()) as made:
        for description in ("", "x" * 1001):
            with pytest.raises(BadRequest, match="1000 characters"):
                await made.library.create_from_description("", Wish(name="A"), description)
            with pytest.raises(BadRequest, match="1000 characters"):
                await made.library.design("", description)


async def test_a_voice_can_be_made_and_not_be_kept() -> None:
    async with gateway(Making()) as made:
        voice = await made.library.clone("", await made.library.clips.hear(file("wav")))
        designed = await made.library.design("", "a calm old man", "en")
        assert voice.sample_rate == designed.sample_rate == RATE
        assert None not in (voice.prompt, designed.prompt)
        assert made.library.list("") == []


@virtual_time
async def test_nothing_is_made_that_could_not_be_kept() -> None:
    engine = Making()
    async with gateway(engine) as made:
        made.library._up = False
        with pytest.raises(Overloaded):
            await design(made)
        assert engine.descriptions == []
        made.library._up = True
