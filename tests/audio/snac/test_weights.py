"""Finding the weights, without loading them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from audio.snac import HUB_ID, PackageMissing, WeightsMissing, WeightsUnusable
from audio.snac.export import cached
from audio.snac.weights import Weights, locate
from tests.support.snac_weights import CONFIG


def folder(path: Path, **changes: Any) -> Path:
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(CONFIG | changes))
    (path / "pytorch_model.bin").write_bytes(b"weights")
    return path


def test_a_folder_with_both_files_is_found(tmp_path: Path) -> None:
    assert locate(str(folder(tmp_path))) == Weights(tmp_path, ours=True)


def test_a_folder_without_them_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"no config\.json and no pytorch_model\.bin"):
        locate(str(tmp_path))
    folder(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(WeightsMissing, match=r"has no pytorch_model\.bin$"):
        locate(str(tmp_path))


@pytest.mark.parametrize("name", ["nowhere", "/no/such/folder", "./a/b", "~/nothing/here"])
def test_a_folder_that_is_not_there_is_not_asked_of_a_hub(name: str) -> None:
    with pytest.raises(WeightsMissing, match="no such folder"):
        locate(name)


@pytest.mark.parametrize(
    "changes", [{"sampling_rate": 44100}, {"vq_strides": [8, 4, 2, 1]}, {"attn_window_size": 32}, {"noise": False}]
)
def test_another_model_of_the_family_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(WeightsUnusable, match=next(iter(changes))):
        locate(str(folder(tmp_path, **changes)))


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_a_config_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (folder(tmp_path) / "config.json").write_text(text)
    with pytest.raises(WeightsUnusable, match="cannot be read"):
        locate(str(tmp_path))


def test_no_message_carries_a_path(tmp_path: Path) -> None:
    for weights in (str(tmp_path), str(tmp_path / "nowhere")):
        with pytest.raises(WeightsMissing) as raised:
            locate(weights)
        assert str(tmp_path) not in str(raised.value)


# ---- the hub


class Hub:
    """What is used of ``huggingface_hub``. ``cached``, ``reachable``: which questions it answers."""

    def __init__(self, files: Path, *, cached: bool, reachable: bool) -> None:
        self.asked: list[tuple[str, str, bool]] = []
        self._files = files
        self._answers = {True: cached, False: reachable}

    def hf_hub_download(self, repository: str, name: str, *, local_files_only: bool) -> str:
        self.asked.append((repository, name, local_files_only))
        if not self._answers[local_files_only]:
            raise OSError("/secret/path: no such thing")
        return str(self._files / name)


def hub(monkeypatch: pytest.MonkeyPatch, *args: Any, **kwargs: Any) -> Hub:
    made = Hub(*args, **kwargs)
    monkeypatch.setitem(sys.modules, "huggingface_hub", made)
    return made


def test_a_hub_id_is_taken_from_the_cache_where_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = hub(monkeypatch, folder(tmp_path), cached=True, reachable=True)
    assert locate(HUB_ID) == Weights(tmp_path, ours=False)
    assert one.asked == [(HUB_ID, "pytorch_model.bin", True), (HUB_ID, "config.json", True)]


def test_a_hub_id_is_fetched_where_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = hub(monkeypatch, folder(tmp_path), cached=False, reachable=True)
    assert locate(HUB_ID).folder == tmp_path
    assert [local for _, _, local in one.asked] == [True, False, False]


def test_a_hub_out_of_reach_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, tmp_path, cached=False, reachable=False)
    with pytest.raises(WeightsMissing, match="name a folder with config") as raised:
        locate(HUB_ID)
    assert "secret" not in str(raised.value)


def test_a_hub_id_without_the_hubs_package_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PackageMissing, match="pip install huggingface_hub") as raised:
        locate(HUB_ID)
    assert raised.value.fix == "pip install huggingface_hub"


# ---- the exported model's place


def test_the_exported_model_lies_beside_weights_of_ours(tmp_path: Path) -> None:
    weights = locate(str(folder(tmp_path)))
    assert cached(weights, None).parent == tmp_path


def test_the_exported_model_of_a_hub_lies_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cached(Weights(folder(tmp_path), ours=False), None).parent == tmp_path / "cache" / "voxwire"


def test_a_configured_cache_goes_before_both(tmp_path: Path) -> None:
    assert cached(Weights(folder(tmp_path), ours=True), tmp_path / "here").parent == tmp_path / "here"


def test_other_weights_have_another_name(tmp_path: Path) -> None:
    weights = locate(str(folder(tmp_path)))
    first = cached(weights, None)
    assert cached(weights, None) == first
    (tmp_path / "pytorch_model.bin").write_bytes(b"others")
    assert cached(weights, None) != first
