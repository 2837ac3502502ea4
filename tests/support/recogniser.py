"""The ear of the end-to-end tests: an offline speech recogniser that says which words a sound holds.

The recogniser is pocketsphinx with what its wheel carries: a US English acoustic model, a dictionary of some
130,000 words and a general trigram language model. It is told nothing about the sentences that are spoken.
"""

import functools
import threading

import jiwer
import numpy as np
import pocketsphinx  # type: ignore[import-untyped]
import soxr
from numpy.typing import NDArray

RATE = 16_000
"""The rate the recogniser hears, in Hz. Its features end at 6.8 kHz, so that 8 kHz speech lacks a part."""

_SILENCE_SECONDS = 0.3

# A decoder holds one utterance at a time.
_lock = threading.Lock()

_WORDS = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.RemovePunctuation(),  # type: ignore[no-untyped-call]
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
        jiwer.ReduceToListOfListOfWords(),
    ]
)


def at_16_khz(samples: NDArray[np.int16], rate: int) -> NDArray[np.int16]:
    """Return mono ``samples`` of ``rate`` Hz at 16 kHz, with 0.3 s of silence before and behind."""
    sound = samples.astype(np.float32)
    if rate != RATE:
        sound = soxr.resample(sound, rate, RATE)
    padded = np.pad(sound, int(_SILENCE_SECONDS * RATE))
    # Resampling overshoots at full scale, and a wrapped sample is a click.
    return np.clip(np.rint(padded), -32_768, 32_767).astype(np.int16)


def transcribe(samples: NDArray[np.int16]) -> str:
    """Return the words heard in mono 16 kHz ``samples``, lower case and without punctuation.

    The same samples give the same words, whatever was heard before. Threads take turns. About one second of
    work for a sentence, and pocketsphinx holds the interpreter lock for all of it: listen after the stream
    has ended, for an event loop stands still meanwhile, in a thread or not. Noise alone can be heard as words.
    """
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise ValueError(f"expected mono int16 samples, got {samples.dtype} of shape {samples.shape}")
    with _lock:
        decoder = _decoder()
        decoder.start_utt()
        try:
            if samples.size:
                # full_utt: the features are normalised over this utterance, not over earlier ones.
                decoder.process_raw(samples.tobytes(), full_utt=True)
        finally:
            decoder.end_utt()
        hypothesis = decoder.hyp()
    return str(hypothesis.hypstr) if hypothesis else ""


def word_error_rate(expected: str, heard: str) -> float:
    """Return substitutions, deletions and insertions per expected word, regardless of case and punctuation.

    Numbers are not spelled out: expect words, not digits.
    """
    return float(jiwer.wer(expected, heard, reference_transform=_WORDS, hypothesis_transform=_WORDS))


@functools.cache
def _decoder() -> pocketsphinx.Decoder:
    # The search as pocketsphinx sets it: wider beams and other language weights read no better, and what makes
    # it faster (no second pass, fewer states a frame) misreads 8 kHz mu-law.
    return pocketsphinx.Decoder(samprate=RATE, loglevel="FATAL")
