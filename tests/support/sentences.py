"""Ten sentences for tests that speak through the gateway and have `tests.support.recogniser` listen.

They were chosen from 92 that were written for it, because the recogniser reads them from the engine's own
sound. `hibari` spoke each directly, with several seeds, whole and cut at its comma. A sentence stayed only if it
was read without an error from that sound, shifted, softer and with a little noise too, and at 16 kHz and up
through mu-law, A-law, 64 kbit/s mp3 and 32 kbit/s Opus; and with few errors through 8 kHz mu-law. What a test
then measures is the gateway's path, and not how good the recogniser is: 27 of the 92 were misread before
any path was involved.
"""

SENTENCES: tuple[str, ...] = (
    "After the rain stopped, the children ran outside to play.",
    "The doctor asked her to come back again next week.",
    "You should drink plenty of water during the hot summer.",
    "She took a long vacation after the project was completed.",
    "An airplane flew low over the quiet neighborhood.",
    "Thank you for calling, and have a wonderful afternoon.",
    "My father taught me how to swim in the ocean.",
    "The captain of the ship gave the order to turn back.",
    "Fresh vegetables are cheaper at the market on Saturday.",
    # Longer than the gateway's first segment may be: spoken in two parts.
    "Researchers have found a better way to store energy, according to the university newspaper.",
)
