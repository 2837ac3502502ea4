"""Names out of a file that torch saved, without torch and without what a pickle might run."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from providers.coqui.names import names_in


def saved(path: Path, content: bytes, name: str = "archive/data.pkl") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path


class Evil:
    """Opens a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return open, (str(self._path), "w")


def test_the_keys_are_the_names_in_their_order(tmp_path: Path) -> None:
    path = saved(tmp_path / "speakers.pth", pickle.dumps(OrderedDict({"Zoe": {"id": 1}, "Ann Lee": {"id": 2}})))
    assert names_in(path) == ["Zoe", "Ann Lee"]


def test_a_json_file_has_names_too(tmp_path: Path) -> None:
    (tmp_path / "ids.json").write_text(json.dumps({"p225": 0, "p226": 1}))
    assert names_in(tmp_path / "ids.json") == ["p225", "p226"]


def test_what_a_pickle_would_run_is_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = saved(tmp_path / "speakers.pth", pickle.dumps({"Zoe": Evil(trap)}))
    assert names_in(path) == ["Zoe"]
    assert not trap.exists()


@pytest.mark.parametrize(
    "content", [b"", b"rubbish", pickle.dumps(["Zoe"]), pickle.dumps({"Zoe": 1})[:-3], b"\x80\x04R."]
)
def test_what_holds_no_names_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError):
        names_in(saved(tmp_path / "speakers.pth", content))


def test_a_file_that_is_no_archive_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "speakers.pth").write_bytes(b"rubbish")
    for name in ("speakers.pth", "missing.pth"):
        with pytest.raises((ValueError, OSError)):
            names_in(tmp_path / name)
    with pytest.raises(ValueError):
        names_in(saved(tmp_path / "other.pth", b"", name="archive/version"))


@pytest.mark.engines
def test_the_speakers_of_an_xtts_are_read_as_torch_reads_them(coqui_models: Path) -> None:
    import torch

    path = coqui_models / "xtts" / "speakers_xtts.pth"
    assert names_in(path) == list(torch.load(path, weights_only=True))
