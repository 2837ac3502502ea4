"""A voice in three parts, against the whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from providers.piper import shelf as shelf_module
from providers.piper.model import Model, Scales, Sentence, windows
from providers.piper.parts import Parts
from providers.piper.shelf import parts_of
from tests.support.required import required

IDS = [1, 0, *(part for index in range(90) for part in (14 + index * 7 % 25, 0)), 2]
PLAIN = Scales(0.0, 1.0, 0.0)


def whole(voice: Path, ids: list[int], speaker: int | None, length: float = 1.0) -> np.ndarray[Any, Any]:
    """One run of Piper's graph, without noise."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(voice), providers=["CPUExecutionProvider"])
    given = {
        "input": np.array([ids], np.int64),
        "input_lengths": np.array([len(ids)], np.int64),
        "scales": np.array([0.0, length, 0.0], np.float32),
    }
    if speaker is not None:
        given["sid"] = np.array([speaker], np.int64)
    return np.asarray(session.run(None, given)[0]).reshape(-1)


def spoken(model: Model, sentence: Sentence) -> np.ndarray[Any, Any]:
    return np.concatenate(list(model.sound(sentence)))


def test_windows_grow_and_leave_no_rump() -> None:
    assert windows(0) == []
    assert windows(3) == [(0, 3)]
    assert windows(25) == [(0, 25)]
    assert windows(26) == [(0, 10), (10, 26)]
    assert windows(262) == [(0, 10), (10, 30), (30, 70), (70, 150), (150, 246), (246, 262)]
    assert windows(261) == [(0, 10), (10, 30), (30, 70), (70, 150), (150, 261)]


@pytest.mark.engines
@pytest.mark.parametrize("threads", [1, 2])
def test_the_parts_make_the_sound_of_the_whole(joe: Path, piper_shelf: Path, threads: int) -> None:
    model = Model(parts_of(joe, piper_shelf), threads)
    sentence = model.sentence(IDS, PLAIN, None, np.random.default_rng(0))
    assert len(windows(sentence.frames)) > 3
    found, expected = spoken(model, sentence), whole(joe, IDS, None)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.engines
@pytest.mark.parametrize("speaker", [0, 1, 2])
def test_each_speaker_of_a_voice_is_his_own(crowd_voice: Path, piper_shelf: Path, speaker: int) -> None:
    model = Model(parts_of(crowd_voice, piper_shelf), 1)
    sentence = model.sentence(IDS, Scales(0.0, 3.0, 0.0), speaker, np.random.default_rng(0))
    assert len(windows(sentence.frames)) > 3
    found, expected = spoken(model, sentence), whole(crowd_voice, IDS, speaker, 3.0)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.engines
def test_what_a_frame_depends_on_is_read_off_the_graph(joe: Path, crowd_voice: Path, piper_shelf: Path) -> None:
    medium, high = parts_of(joe, piper_shelf), parts_of(crowd_voice, piper_shelf)
    assert (medium.hop, medium.flow_reaches[0], medium.generator_reaches[0]) == (256, (32, 32, 1), (12, 11, 1))
    assert (high.hop, high.flow_reaches[0], high.generator_reaches[0]) == (256, (32, 32, 1), (14, 13, 1))


@pytest.mark.engines
def test_at_each_waist_less_goes_on(joe: Path, crowd_voice: Path, piper_shelf: Path) -> None:
    for voice in (joe, crowd_voice):
        parts = parts_of(voice, piper_shelf)
        for reaches in (parts.flow_reaches, parts.generator_reaches):
            needed = [(reach.before + reach.behind) / reach.rate for reach in reaches]
            assert len(needed) >= 4
            assert needed == sorted(needed, reverse=True)
            assert needed[-1] < 1


@pytest.mark.engines
def test_noise_is_drawn_from_what_is_given(joe: Path, piper_shelf: Path) -> None:
    model, scales = Model(parts_of(joe, piper_shelf), 1), Scales(0.667, 1.0, 0.8)
    one, same, other = (model.sentence(IDS, scales, None, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.noisy, same.noisy)
    assert one.noisy.shape != other.noisy.shape or not np.array_equal(one.noisy, other.noisy)


@pytest.mark.engines
def test_a_voice_is_taken_apart_once(joe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = parts_of(joe, tmp_path)
    assert Path(str(made.frontend)).is_relative_to(tmp_path)

    def unwanted(*_: object) -> None:
        raise AssertionError("it was there")

    monkeypatch.setattr(shelf_module, "_put", unwanted)
    copy = tmp_path / "copy.onnx"
    shutil.copy(joe, copy)
    assert parts_of(copy, tmp_path) == made


@pytest.mark.engines
def test_a_voice_is_taken_apart_in_memory_where_nothing_can_be_kept(joe: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for shelf in (tmp_path / "file" / "shelf", None):
        parts = parts_of(joe, shelf)
        assert isinstance(parts.frontend, bytes)
    assert Model(parts, 1).sentence(IDS, PLAIN, None, np.random.default_rng(0)).frames > 100


@pytest.mark.engines
def test_a_write_that_breaks_off_leaves_nothing_behind(
    joe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:1000])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shelf_module, "_write", full)
        assert isinstance(parts_of(joe, tmp_path).frontend, bytes)
    assert list(tmp_path.iterdir()) == []
    assert isinstance(parts_of(joe, tmp_path).frontend, str)


@pytest.mark.engines
@pytest.mark.parametrize("name", ["flow.onnx", "about.json", "digest"])
def test_parts_that_were_changed_on_disk_are_made_again(
    joe: Path, piper_shelf: Path, tmp_path: Path, name: str
) -> None:
    made = Path(str(parts_of(joe, piper_shelf).flow)).parent
    kept = Path(shutil.copytree(made, tmp_path / made.name))
    content = bytearray((kept / name).read_bytes())
    content[len(content) // 2] ^= 1
    (kept / name).write_bytes(content)
    assert parts_of(joe, tmp_path).flow == str(kept / "flow.onnx")
    assert (kept / name).read_bytes() == (made / name).read_bytes()


@pytest.mark.engines
def test_what_a_killed_process_and_an_older_version_left_is_taken_away(joe: Path, tmp_path: Path) -> None:
    killed, begun = tmp_path / ".killed", tmp_path / ".begun"
    for folder in (killed, begun, tmp_path / "another-1"):
        folder.mkdir()
        (folder / "flow.onnx").touch()
    os.utime(killed, (0, 0))
    place = Path(str(parts_of(joe, tmp_path).flow)).parent
    older = tmp_path / place.name.replace("-2", "-1")
    older.mkdir()
    shutil.rmtree(place)
    parts_of(joe, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".begun", "another-1", place.name])


@pytest.mark.engines
def test_what_another_process_has_put_there_meanwhile_is_left(
    joe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers.piper import split

    taken_apart = split.split

    def slow(voice: Path) -> Parts:
        monkeypatch.setattr(split, "split", taken_apart)
        place = Path(str(parts_of(voice, tmp_path).flow)).parent
        (place / "other").touch()
        return taken_apart(voice)

    monkeypatch.setattr(split, "split", slow)
    found = Path(str(parts_of(joe, tmp_path).flow))
    assert found.with_name("other").exists()
    assert [path.name for path in tmp_path.iterdir()] == [found.parent.name]


@pytest.mark.engines
def test_a_sentence_of_a_voice_that_is_broken_has_an_end(joe: Path, piper_shelf: Path) -> None:
    model = Model(parts_of(joe, piper_shelf), 1)
    with pytest.raises(ValueError, match="frames"):
        model.sentence(IDS, Scales(0.0, 1e9, 0.0), None, np.random.default_rng(0))


@pytest.mark.engines
@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_what_is_no_voice_is_refused(joe: Path, tmp_path: Path, content: bytes | None) -> None:
    onnx = required("engines", "onnx")
    from providers.piper.split import NotPiper, split

    path = tmp_path / "model.onnx"
    if content is None:
        helper = onnx.helper
        value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
        graph = helper.make_graph([helper.make_node("Ceil", ["x"], ["y"])], "g", [value], [value])
        path.write_bytes(helper.make_model(graph).SerializeToString())
    else:
        path.write_bytes(content)
    with pytest.raises(NotPiper):
        split(path)
