"""WebM in the browser that it is for: a MediaSource that is fed while the sound is made."""

from __future__ import annotations

import base64

import pytest

from audio import formats
from tests.audio.signals import chirp, pieces
from tests.support.chromium import chromium

pytestmark = pytest.mark.browser

RATE = 24000
PAGE = "<audio id=player></audio>"
FEED = """async ({ type, parts }) => {
  if (!MediaSource.isTypeSupported(type)) return { refused: type };
  const source = new MediaSource();
  const player = document.querySelector("#player");
  player.src = URL.createObjectURL(source);
  await new Promise((done) => source.addEventListener("sourceopen", done, { once: true }));
  const buffer = source.addSourceBuffer(type);
  const ends = [];
  const ranges = [];
  for (const part of parts) {
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    const taken = new Promise((done, failed) => {
      buffer.addEventListener("updateend", done, { once: true });
      buffer.addEventListener("error", () => failed(new Error("the browser refuses the stream")), { once: true });
    });
    buffer.appendBuffer(bytes);
    await taken;
    ranges.push(buffer.buffered.length);
    ends.push(buffer.buffered.length ? buffer.buffered.end(0) : 0);
  }
  source.endOfStream();
  const over = new Promise((done) => player.addEventListener("ended", done, { once: true }));
  await player.play();
  await over;
  const error = player.error && player.error.message;
  const [start, duration, played] = [buffer.buffered.start(0), source.duration, player.currentTime];
  return { ranges, ends, start, duration, played, error };
}"""


@pytest.mark.parametrize("rate", [24000, 48000])
async def test_a_browser_plays_each_piece_as_it_comes_and_all_to_the_end(rate: int) -> None:
    row = formats.find("webm")
    stream = row.open(RATE, rate)
    sound = pieces(chirp(RATE, RATE + 1234).tobytes(), [480, *[2400] * 9])
    parts = [part for part in (*map(stream.encode, sound), stream.finish()) if part]
    async with chromium() as browser:
        page = await (await browser.new_context()).new_page()
        await page.set_content(PAGE)
        encoded = [base64.b64encode(part).decode() for part in parts]
        seen = await page.evaluate(FEED, {"type": row.mime, "parts": encoded})
    assert "refused" not in seen
    assert seen["error"] is None
    assert seen["start"] == pytest.approx(0, abs=0.001)
    assert set(seen["ranges"][1:]) == {1}
    assert seen["ends"] == sorted(seen["ends"])
    assert seen["ends"][1] < 0.2, "sound is there before the rest has come"
    assert seen["duration"] == pytest.approx((RATE + 1234) / RATE, abs=0.03)
    assert seen["played"] == pytest.approx(seen["duration"], abs=0.05)
