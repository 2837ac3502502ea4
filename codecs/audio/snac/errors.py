"""What the decoder raises: one family, each member a sentence for whoever runs the gateway.

    SnacError
    ├── PackageMissing      a Python package is not installed; ``fix`` is the line that installs it
    ├── WeightsMissing      there are no weights where they were named
    ├── WeightsUnusable     there are, and they are not those of the 24 kHz model, or damaged
    ├── BackendUnavailable  the backend that was asked for cannot run on this machine
    ├── DecoderClosed       the decoder was not started, or is closed
    ├── DecoderBusy         too many streams are open
    ├── BadFrame            what was pushed is no frame
    ├── StreamEnded         pushed after ``finish``
    ├── StreamOverrun       too much was pushed that nobody took
    └── DecodeFailed        the backend failed in the middle of this stream

No message carries a path or a caller's data, so that any of them may be shown.
"""

from __future__ import annotations


class SnacError(Exception):
    """The root of all the errors of this package."""


class PackageMissing(SnacError):
    def __init__(self, package: str, purpose: str, fix: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}; run: {fix}")
        self.package = package
        self.fix = fix


class WeightsMissing(SnacError):
    pass


class WeightsUnusable(SnacError):
    pass


class BackendUnavailable(SnacError):
    pass


class DecoderClosed(SnacError):
    pass


class DecoderBusy(SnacError):
    pass


class BadFrame(SnacError):
    pass


class StreamEnded(SnacError):
    pass


class StreamOverrun(SnacError):
    pass


class DecodeFailed(SnacError):
    pass
