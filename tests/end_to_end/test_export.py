"""Exports as a user types them."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import memguard
from tests.end_to_end.conftest import run_command


@pytest.fixture(scope="module")
def door(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported graph of the small network."""
    folder = tmp_path_factory.mktemp("export")
    done = run_command("export", f"checkpoint={checkpoint}", "output=door.onnx", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "door.onnx scores windows of 5 frames of 32 × 32 pixels" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["door.json", "door.onnx"]
    return folder / "door.onnx"


def test_the_description_has_what_the_checkpoint_learned(door: Path, checkpoint: Path) -> None:
    described = json.loads(door.with_suffix(".json").read_text())
    learned = torch.load(checkpoint, weights_only=True)["state_dict"]
    np.testing.assert_array_equal(
        np.array(described["items"], np.float32), learned["memory.items"].numpy()
    )
    normal = np.array(described["alarm"]["normal_scores"], np.float32)
    np.testing.assert_array_equal(normal, learned["alarm.normal_scores"].numpy())
    assert described["guard"]["threshold"] == pytest.approx(
        float(learned["guard.normal_scores"][50]), rel=1e-6
    )
    assert described["version"] == memguard.__version__
    assert (described["format"], described["opset"], described["fps"]) == ("onnx", 18, 25.0)
    session = onnxruntime.InferenceSession(door)
    assert session.get_inputs()[0].shape[1:] == [5, 32, 32, 3]


def test_openvino_writes_its_weights_beside_the_graph(checkpoint: Path, tmp_path: Path) -> None:
    done = run_command(
        "export", f"checkpoint={checkpoint}", "format=openvino", "output=door.xml",
        "guard.threshold=0.25", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["door.bin", "door.json", "door.xml"]
    described = json.loads((tmp_path / "door.json").read_text())
    assert (described["guard"]["threshold"], described["opset"]) == (0.25, None)


def test_a_name_of_another_format_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    done = run_command("export", f"checkpoint={checkpoint}", "output=door.xml", folder=tmp_path)
    assert done.returncode == 1
    sentence = "output=door.xml cannot work with format=onnx: its name must end in .onnx."
    assert done.stderr.strip().endswith(sentence)
    assert list(tmp_path.iterdir()) == []
