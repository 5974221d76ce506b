"""Exported graphs: the values of the test loop, for any number of windows, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memguard.convert.exporting import OPSET, example, traced, write_onnx, write_torch_export
from memguard.convert.window_graph import OUTPUTS, WindowGraph
from memguard.detection.detector import Detector
from memguard.detection.guard import MemoryGuard
from memguard.errors import CheckpointError, UserError
from memguard.live.graph.description import DescribedAlarm, DescribedGuard, Description
from memguard.live.graph.runtime import open_graph
from memguard.model.denoiser import ADNet, Denoiser
from memguard.model.memory.growing import GrowingMemory
from memguard.model.memory.memae import MemAEMemory
from memguard.model.memory.mnad import Memory
from memguard.model.memory.multiscale import MultiscaleMemory
from tests.conftest import small_detector

HEIGHT, WIDTH = 32, 48
CHECKPOINT = Path("door.ckpt")


def growing() -> GrowingMemory:
    memory = GrowingMemory(max_size=6, dim=8, novelty=0.3, merge=0.1)
    memory.items[:2] = F.normalize(torch.rand(2, 8), dim=1)
    return memory


def described(detector: Detector) -> Description:
    alarm = DescribedAlarm(
        normal_scores=np.linspace(0, 1, 101, dtype=np.float32),
        sample=np.array([50, 20], np.float32),
        tail=np.full((201, 7, 4), np.inf, np.float32),
    )
    return Description(
        version="0", format="onnx", opset=OPSET, length=5, frame_size=(HEIGHT, WIDTH), channels=1,
        fps=25.0, sizes=list(detector.scoring.sizes), smoothing=2.0,
        items=detector.memory.items.detach().numpy(),
        guard=DescribedGuard(threshold=0.5, scope="dataset", enabled=True),
        alarm=alarm, standing=None,
    )  # fmt: skip


def exported(detector: Detector, path: Path) -> Path:
    graph = WindowGraph(detector)
    write_onnx(traced(graph, example(described(detector)), CHECKPOINT), path, CHECKPOINT)
    return path


def with_memory(detector: Detector, memory: nn.Module) -> Detector:
    detector.memory = memory  # type: ignore[assignment]
    return detector


@pytest.fixture(params=["mnad", "growing", "none", "memae", "multiscale", "denoised"])
def detector(request: pytest.FixtureRequest) -> Detector:
    """Trained by nobody, its scores are as good as any."""
    made = small_detector()
    torch.manual_seed(1)
    kinds: dict[str, Callable[[], nn.Module]] = {
        "mnad": lambda: Memory(size=5, dim=8),
        "growing": growing,
        "none": lambda: Memory(size=0, dim=8),
        "memae": lambda: MemAEMemory(size=6, dim=8, shrinkage=1),
        "multiscale": lambda: MultiscaleMemory([8, 4], [6, 5], dim=8, width=4, shrinkage=1),
    }
    if request.param == "denoised":
        made.denoiser = Denoiser(ADNet(channels=1, width=2)).eval()
    else:
        with_memory(made, kinds[request.param]())
    return made


@torch.no_grad()
def in_test(detector: Detector, windows: Tensor, limit: float) -> dict[str, Tensor]:
    """Score successive windows of a video by the test loop."""
    enabled = detector.memory.items.shape[0] > 0
    detector.guard = MemoryGuard(threshold=limit, quantile=0.5, scope="dataset", enabled=enabled)
    detector.begin_test()
    videos = torch.zeros(len(windows), dtype=torch.int64)
    return dict(detector.score_frames(windows, videos))  # type: ignore[arg-type]


def test_a_graph_has_the_values_of_the_test_loop(detector: Detector, tmp_path: Path) -> None:
    path = exported(detector, tmp_path / "door.onnx")
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path))
    assert [(each.domain, each.version) for each in model.opset_import if not each.domain] == [
        ("", OPSET)
    ]
    run = open_graph(path, "onnx")

    video = torch.randint(256, (12, 1, HEIGHT, WIDTH), dtype=torch.uint8)
    windows = video.unfold(0, 5, 1).movedim(-1, 1)
    limit = float(in_test(detector, windows, 0.0)["regular"].quantile(0.5))
    expected = in_test(detector, windows, limit)
    if detector.memory.writes and len(detector.memory.items):
        assert 0 < expected["written"].sum() < len(windows)

    items = detector.memory.items.detach().numpy()
    frames = windows.movedim(2, -1).numpy()
    for number in range(len(windows)):
        memory = {"items": items[None]} if len(items) else {}
        found = run(frames=frames[number : number + 1], **memory)
        assert list(found) == list(OUTPUTS)
        for name in ("output", "psnr", "distance", "regular", "patch"):
            np.testing.assert_allclose(found[name][0], expected[name][number], atol=1e-4)
        if len(items) and found["regular"][0] < limit:
            items = found["updated"][0]
    np.testing.assert_allclose(items, expected["items"].detach(), atol=1e-4)

    together = run(frames=frames[:3], **({"items": np.stack([items] * 3)} if len(items) else {}))
    alone = run(frames=frames[2:3], **({"items": items[None]} if len(items) else {}))
    np.testing.assert_allclose(together["error"][2], alone["error"][0], atol=1e-6)
    assert together["error"].shape == (3, HEIGHT, WIDTH)


class OwnEncoder(nn.Module):
    """An encoder whose features pass through an operation of one's own."""

    def __init__(self, encoder: nn.Module, operation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.encoder, self.operation = encoder, operation

    def forward(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        features, skips = self.encoder(frames)
        return self.operation(features), skips


def branching(features: Tensor) -> Tensor:
    return features * 2 if features.sum() > 0 else features


@pytest.mark.parametrize(
    ("operation", "sentence"),
    [
        (torch.special.bessel_j0, r"^door\.ckpt cannot be exported: the operation .*bessel_j0 has"),
        (branching, r"test_exporting\.py, line \d+, depends on the values of frames \(return feat"),
    ],
)
def test_an_own_encoder_is_refused_by_its_operation(
    operation: Callable[[Tensor], Tensor], sentence: str, tmp_path: Path
) -> None:
    detector = small_detector()
    detector.autoencoder.encoder = OwnEncoder(detector.autoencoder.encoder, operation)  # type: ignore[assignment]
    with pytest.raises(CheckpointError, match=sentence):
        exported(detector, tmp_path / "door.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_own_encoder_is_exported(tmp_path: Path) -> None:
    detector = small_detector()
    detector.autoencoder.encoder = OwnEncoder(detector.autoencoder.encoder, torch.erf)  # type: ignore[assignment]
    inputs = example(described(detector))
    graph = WindowGraph(detector)
    write_torch_export(traced(graph, inputs, CHECKPOINT), tmp_path / "door.pt2", CHECKPOINT)
    with torch.no_grad():
        found, expected = torch.export.load(tmp_path / "door.pt2").module()(*inputs), graph(*inputs)
    torch.testing.assert_close(found["updated"], expected["updated"], atol=1e-6, rtol=0)


def test_a_description_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = described(small_detector())
    written.write(tmp_path / "door.onnx")
    text = (tmp_path / "door.json").read_text()
    assert "Infinity" not in text
    read = Description.of_graph(tmp_path / "door.onnx")
    np.testing.assert_array_equal(read.items, written.items)
    np.testing.assert_array_equal(read.alarm.tail, written.alarm.tail)
    assert read.guard == written.guard
    assert (read.sizes, read.fps, read.frame_size) == (written.sizes, 25.0, (HEIGHT, WIDTH))


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"items": "many"}'])
def test_a_damaged_description_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "door.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"^.*door\.json is no description that memguard"):
        Description.of_graph(tmp_path / "door.onnx")


def test_a_missing_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"door\.json is missing, which describes door\.onnx"):
        Description.of_graph(tmp_path / "door.onnx")


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "door.onnx").write_bytes(b"no graph")
    with pytest.raises(CheckpointError, match=r"door\.onnx is no graph that onnxruntime runs"):
        open_graph(tmp_path / "door.onnx", "onnx")
    with pytest.raises(UserError, match=r"door\.pt2: a graph of format=torch_export is for"):
        open_graph(tmp_path / "door.pt2", "torch_export")
