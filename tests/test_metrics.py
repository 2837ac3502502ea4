import re
from pathlib import Path

from gateway.metrics import Metrics

DOCS = Path(__file__).parent.parent / "docs" / "operations.md"


def test_every_series_is_explained_and_every_explained_series_is_there() -> None:
    """The series of an earlier gateway, ``tts_*``, are its own."""
    page = Metrics().render().decode()
    families = {name for name in re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE) if name.startswith("voxwire_")}
    explained = set(re.findall(r"`(voxwire_\w+)", DOCS.read_text()))
    assert explained == families
