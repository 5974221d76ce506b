"""Files of other programs: every format of tensors is read, and no code is run."""

import builtins
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.backends.thnn import _get_thnn_function_backend
from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION

from memguard.convert.unpickle import read
from memguard.errors import CheckpointError


class Asks:
    """Asks whoever unpickles it to call a function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


@pytest.fixture
def network(published: ModuleType) -> nn.Module:
    torch.manual_seed(0)
    return published.convAE("pred", width=2, features=8, size=4)


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def in_old_form(path: Path, content: bytes) -> Path:
    """A file as torch wrote it before 1.6: pickles one after the other."""
    head = [pickle.dumps(part, 2) for part in (MAGIC_NUMBER, PROTOCOL_VERSION, {})]
    path.write_bytes(b"".join([*head, content, pickle.dumps([], 2)]))
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("form", [nn.Module, nn.DataParallel, dict])
def test_every_form_of_a_network_gives_its_tensors(
    tmp_path: Path, network: nn.Module, form: type, zipped: bool
) -> None:
    path = tmp_path / "model.pth"
    if form is nn.DataParallel:
        network = nn.DataParallel(network)
        network.src_device_obj = torch.device("cuda", 0)  # as on a machine with GPUs
    saved = network.state_dict() if form is dict else network
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    assert_same(read(path), network.state_dict())


def test_a_network_of_an_early_torch_on_a_gpu_is_read(
    tmp_path: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in network.modules():
        module._backend = Asks(_get_thnn_function_backend)
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    path = tmp_path / "model.pth"
    torch.save(network, path, _use_new_zipfile_serialization=False)
    assert b"cuda:0" in path.read_bytes()
    assert b"_get_thnn_function_backend" in path.read_bytes()
    assert_same(read(path), network.state_dict())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("ask", "named"),
    [
        (lambda marker: Asks(os.system, f"touch {marker}"), r"\w+\.system"),
        (lambda marker: Asks(builtins.eval, f"open({str(marker)!r}, 'w')"), r"\w+\.eval"),
        (lambda marker: Asks(getattr, Asks(open, str(marker), "w"), "name"), r"\w+\.getattr"),
        (lambda marker: Asks(torch.load, str(marker)), r"torch\.serialization\.load"),
        (lambda marker: Asks(torch.hub.load, "owner/repo", "m"), r"torch\.hub\.load"),
        (lambda marker: Asks(nn.init.zeros_, torch.ones(1)), r"torch\.nn\.init\.zeros_"),
    ],
)
@pytest.mark.parametrize("nested", [True, False])
def test_what_asks_for_more_is_refused_and_not_run(
    tmp_path: Path,
    network: nn.Module,
    ask: Callable[[Path], Asks],
    named: str,
    nested: bool,
    zipped: bool,
) -> None:
    marker, path = tmp_path / "marker", tmp_path / "model.pth"
    network.encoder.note = ask(marker)
    saved = network if nested else ask(marker)
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=rf"^{path} asks for ({named}), which"):
        read(path)
    assert not marker.exists()


@pytest.mark.parametrize("module", ["torch.nn.modules.module", "model.published"])
def test_a_dotted_name_does_not_lead_out_of_a_known_module(
    tmp_path: Path, published: ModuleType, module: str
) -> None:
    marker = tmp_path / "marker"
    published.inspect = nn.modules.module.inspect
    dotted, command = b"inspect.os.system", f"touch {marker}".encode()
    content = b"\x80\x04" + b"".join(
        b"\x8c" + bytes([len(text)]) + text for text in (module.encode(), dotted)
    )
    content += b"\x93\x8c" + bytes([len(command)]) + command + b"\x85R."
    path = in_old_form(tmp_path / "model.pth", content)
    with pytest.raises(CheckpointError, match=rf"asks for {module}\.inspect\.os\.system"):
        read(path)
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists()  # so it does work where it is let


def test_an_unknown_name_in_a_module_of_torch_is_refused(tmp_path: Path) -> None:
    path = in_old_form(tmp_path / "model.pth", b"\x80\x02ctorch.nn.modules.module\ninspect\n.")
    with pytest.raises(CheckpointError, match=r"asks for torch\.nn\.modules\.module\.inspect"):
        read(path)


def test_the_source_code_in_an_old_file_is_not_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch would: of a class that says so, whose source is found and differs from the file's."""
    monkeypatch.chdir(tmp_path)
    with_patches = b"N}X\x0c\x00\x00\x00dump_patches\x88s\x86b"
    source = b"X\x04\x00\x00\x00fileX\x04\x00\x00\x00evil"
    saved = b"(X\x06\x00\x00\x00modulecmodel.any\nInert\n" + with_patches + source + b"tQ"
    read(in_old_form(tmp_path / "model.pth", b"\x80\x02" + saved + b"."))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


def test_a_pickle_cannot_change_what_is_torchs(tmp_path: Path) -> None:
    """BUILD sets attributes of whatever it is given, of functions too."""
    state = b"N}X\x04\x00\x00\x00evilNs\x86b."
    function = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
    with pytest.raises(CheckpointError, match="cannot be read"):
        read(in_old_form(tmp_path / "model.pth", function + state))
    assert not hasattr(torch._utils._rebuild_tensor_v2, "evil")
    pickle.loads(function + state)
    assert hasattr(torch._utils._rebuild_tensor_v2, "evil")  # so plain pickle does set it
    del torch._utils._rebuild_tensor_v2.evil


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.jit.save(torch.jit.trace(nn.Tanh(), torch.ones(1)), path)
    with pytest.raises(CheckpointError, match=rf"^{path} cannot be read as a file of torch\.save"):
        read(path)


@pytest.mark.parametrize("cut", [0, 10, 1000])
@pytest.mark.parametrize("zipped", [True, False])
def test_an_incomplete_file_of_torch_is_rejected(tmp_path: Path, cut: int, zipped: bool) -> None:
    path = tmp_path / "keys.pt"
    torch.save(torch.rand(4, 128), path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=rf"^{path} cannot be read .* copy it again"):
        read(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^There is no file .*gone\.pth"):
        read(tmp_path / "gone.pth")
