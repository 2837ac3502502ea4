"""Ten sentences for tests that speak through the gateway and have `tests.support.recogniser` listen.

They were chosen from 92 that were written for it, because the recogniser reads them from the engine's own
sound: `hibari` spoke each directly, with several seeds, whole and cut at its comma, and a sentence stayed only
if it was read without an error from that sound, from 16 kHz and 8 kHz mu-law, from 64 kbit/s mp3 and from
32 kbit/s Opus. What a test then measures is the gateway's path, and not how good the recogniser is: about a
third of the others were misread before any path was involved.
"""

SENTENCES: tuple[str, ...] = (
    "After the rain stopped, the children ran outside to play.",
    "The doctor asked her to come back again next week.",
    "The teacher wrote a short story on the board.",
    "We would like to order some bread and a bottle of water.",
    "She took a long vacation after the project was completed.",
    "Thank you for calling, and have a wonderful afternoon.",
    "When the phone rang, nobody wanted to answer it.",
    "Several members of the committee voted against the proposal.",
    "Fresh vegetables are cheaper at the market on Saturday.",
    # Longer than the gateway's first segment may be: spoken in two parts.
    "Researchers have found a better way to store energy, according to the university newspaper.",
)
