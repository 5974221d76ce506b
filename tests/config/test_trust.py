"""A file makes memguard build its own classes and those of trusted packages, nothing else."""

import copy
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

import memguard
from memguard.config.compose import config_folder, register_resolvers
from memguard.config.trust import NotTrustedError, Trust, require_allowed, trust_of
from memguard.errors import CheckpointError, ConfigError, DataError
from memguard.live import recording
from memguard.training import experiment
from memguard.training.build import build_detector
from memguard.training.checkpoints import (
    CONFIG_KEY,
    read_checkpoint,
    read_weights,
    require_resumable,
)
from memguard.training.settings import plain_settings
from memguard.training.trained import restore

SMALL = ("model=mnad_tiny", "model.width=2", "memory.dim=4", "memory.size=3", "data.frame_size=16")
NO_VIDEO = ("dataset=folder", "dataset.root=/nowhere")
SECRET = "MEMGUARD_TEST_SECRET"

Change = Callable[[dict[str, Any], Path], None]


def composed(name: str, *overrides: str) -> DictConfig:
    """A command's configuration; composing takes a moment, and settings are many."""
    return copy.deepcopy(_composed(name, *overrides))


@cache
def _composed(name: str, *overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose(name, list(overrides))
    return OmegaConf.masked_copy(config, [k for k in config if k not in ("logger", "callbacks")])


def saved(*overrides: str) -> dict[str, Any]:
    """A checkpoint as a training leaves it, whose guard and alarm know what is normal."""
    config = composed("train", *SMALL, *overrides)
    torch.manual_seed(0)
    detector = build_detector(config, trust_of(config))
    detector.guard.calibrate(torch.linspace(0.1, 0.2, 50))
    detector.alarm.calibrate([torch.linspace(0.1, 0.2, 50)])
    return {
        CONFIG_KEY: plain_settings(config),
        "state_dict": detector.state_dict(),
        "optimizer_states": [],
        "epoch": 3,
        "global_step": 7,
        "loops": {
            "fit_loop": {
                "epoch_progress": {"current": {"completed": 3}},
                "epoch_loop.automatic_optimization.optim_progress": {
                    "optimizer": {"step": {"total": {"completed": 7}}}
                },
            }
        },
    }


@pytest.fixture(scope="module")
def honest() -> dict[str, Any]:
    return saved(*NO_VIDEO)


def touch(marker: Path) -> dict[str, Any]:
    """Settings that Hydra makes a file from."""
    return {
        "_target_": "pathlib.Path.touch",
        "self": {"_target_": "pathlib.Path", "_args_": [str(marker)]},
    }


def replaced(group: str) -> Change:
    return lambda config, marker: config.update({group: touch(marker)})


def inside(group: str, key: str) -> Change:
    return lambda config, marker: config[group].update({key: touch(marker)})


def named(group: str, target: Any, **arguments: Any) -> Change:
    return lambda config, marker: config.update({group: {"_target_": target, **arguments}})


def value(group: str, key: str, text: Any) -> Change:
    return lambda config, marker: config[group].update({key: text})


def in_list(config: dict[str, Any], marker: Path) -> None:
    config["scoring"]["patch"] = [0.2, touch(marker)]


def by_args(config: dict[str, Any], marker: Path) -> None:
    config["memory"] |= {"_args_": [3, touch(marker)]}


def as_partial(config: dict[str, Any], marker: Path) -> None:
    config["guard"] = {
        "_target_": "functools.partial",
        "_partial_": True,
        "_args_": [touch(marker)],
    }


def in_strategy(config: dict[str, Any], marker: Path) -> None:
    config["trainer"]["strategy"] = {
        "_target_": "pytorch_lightning.strategies.DDPStrategy",
        "timeout": touch(marker),
    }


def in_circle(config: dict[str, Any], marker: Path) -> None:
    config["model"]["width"] = config["model"]


def in_billions(config: dict[str, Any], marker: Path) -> None:
    heavy: list[Any] = [0]
    for _ in range(15):
        heavy = [heavy] * 10
    config["scoring"]["patch"] = heavy


# Each change of a checkpoint's configuration, and what its refusal says.
HOSTILE: dict[str, tuple[Change, str]] = {
    "guard": (replaced("guard"), r"guard\._target_ is pathlib\.Path\.touch"),
    "model": (replaced("model"), r"model\._target_ is pathlib\.Path\.touch"),
    "memory": (replaced("memory"), r"memory\._target_ is pathlib\.Path\.touch"),
    "dataset": (replaced("dataset"), r"dataset\._target_ is pathlib\.Path\.touch"),
    "optimizer": (replaced("optimizer"), r"optimizer\._target_ is pathlib\.Path\.touch"),
    "scoring": (replaced("scoring"), r"scoring\._target_ is pathlib\.Path\.touch"),
    "trainer": (replaced("trainer"), r"trainer\._target_ is pathlib\.Path\.touch"),
    "data": (replaced("data"), r"data\._target_ is pathlib\.Path\.touch"),
    "loss": (inside("loss", "margin"), r"loss\.margin\._target_ is pathlib\.Path\.touch"),
    "a term": (inside("loss", "edges"), r"loss\.edges\._target_ is pathlib\.Path\.touch"),
    "a published term": (inside("loss", "pixel"), r"loss\.pixel\._target_ is pathlib\.Path\.to"),
    "another function for a term": (
        value("loss", "edges", {"_target_": "memguard.model.losses.nearest_items"}),
        r"loss\.edges\._target_ is memguard\.model\.losses\.nearest_items",
    ),
    "an argument of a term": (
        value("loss", "edges", {"_target_": "memguard.model.losses.pixel_loss", "a": 1}),
        r"loss\.edges\.a is nothing that",
    ),
    "seed": (replaced("seed"), r"seed\._target_ is pathlib\.Path\.touch"),
    "callbacks": (inside("trainer", "callbacks"), r"trainer\.callbacks\._target_"),
    "a group of its own": (replaced("logger"), r"logger\._target_ is pathlib\.Path\.touch"),
    "an argument": (inside("model", "width"), r"model\.width\._target_ is pathlib\.Path\.touch"),
    "an argument of Hydra's": (by_args, r"memory\._args_ is"),
    "a partial": (as_partial, r"guard\._target_ is functools\.partial"),
    "an element of a list": (in_list, r"scoring\.patch\.1\._target_ is pathlib\.Path\.touch"),
    "a strategy": (in_strategy, r"trainer\.strategy\.timeout\._target_ is pathlib\.Path"),
    "an instruction": (value("guard", "_convert_", "all"), r"guard\._convert_ is all"),
    "a module reached through memguard": (
        named("guard", "memguard.files.os.system", command="true"),
        r"guard\._target_ is memguard\.files\.os\.system",
    ),
    "another function of memguard": (
        named("dataset", "memguard.data.datasets.download.download", dataset="ped2", root="x"),
        r"dataset\._target_ is memguard\.data\.datasets\.download\.download",
    ),
    "another's class of memguard": (
        named("guard", "memguard.data.datasets.street.street", root="x"),
        r"guard\._target_ is memguard\.data\.datasets\.street\.street",
    ),
    "Hydra's own": (
        named("model", "hydra.utils.get_method", path="os.system"),
        r"model\._target_ is hydra\.utils\.get_method",
    ),
    "torch's own": (
        named("optimizer", "torch.hub.load", repo_or_dir="x/y", model="z"),
        r"optimizer\._target_ is torch\.hub\.load",
    ),
    "a package of the user": (named("model", "evil_pkg.Net"), r"model\._target_ is evil_pkg\.Net"),
    "no name": (named("model", "evil_pkg..Net"), r"model\._target_ is evil_pkg\.\.Net, "),
    "a name over lines": (named("model", "a\n\x1b[2J"), r"model\._target_ is 'a\\n\\x1b\[2J'"),
    "no text": (named("model", ["os.system"]), r"model\._target_ is \['os\.system'\]"),
    "an argument that there is not": (value("memory", "out", 1), r"memory\.out is nothing that"),
    "a group for a value": (value("memory", "size", {"a": 1}), r"memory\.size is a group"),
    "the environment": (
        value("guard", "threshold", f"${{oc.env:{SECRET}}}"),
        r"guard\.threshold is the expression '\$\{oc\.env:.* add guard\.threshold=",
    ),
    "the environment, decoded": (
        value("memory", "size", f"${{oc.decode:${{oc.env:{SECRET}}}}}"),
        r"memory\.size is the expression '\$\{oc\.decode:",
    ),
    "an expression put together": (
        lambda config, _: config.update(loss={"a": "$", "margin": "${.a}{oc.env:HOME}"}),
        r"loss\.margin is the expression",
    ),
    "a list's expression": (
        value("scoring", "patch", [0.2, f"${{oc.env:{SECRET}}}"]),
        r"scoring\.patch\.1 is the expression",
    ),
    "a resolver of memguard": (
        value("guard", "scope", "${memguard.run_name:}"),
        r"guard\.scope is the expression '\$\{memguard\.run_name",
    ),
    "a reference to itself": (value("memory", "size", "${memory.size}"), r"memory\.size is the "),
    "itself": (in_circle, r"holds more, or is nested deeper, than settings do"),
    "a billion": (in_billions, r"holds more, or is nested deeper, than settings do"),
    "a tensor": (value("memory", "size", torch.ones(2)), r"memory\.size holds a Tensor"),
    "a huge network": (value("model", "width", 500), r"encoder\.blocks\.0\.0\.weight is \(2, 4, 3"),
    "a huge memory": (value("memory", "size", 10**6), r"memory\.items is \(3, 4\), .* be \(1000"),
    "a long past": (value("task", "past", 10**9), r"task\.past is '1000000000', expected a whole"),
    "a device's plug-in": (value("trainer", "accelerator", "x"), r"trainer\.accelerator is 'x'"),
}  # fmt: skip
# Found only when a detector is built.
WHEN_BUILT = {
    "the environment", "the environment, decoded", "an expression put together",
    "a list's expression", "a resolver of memguard", "a reference to itself", "a huge network",
    "a huge memory",
}  # fmt: skip


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that leaves a file when it is imported; the file."""
    marker = tmp_path / "imported"
    for name in ("evil_pkg", "my_pkg_evil"):
        package = tmp_path / "packages" / name / "__init__.py"
        package.parent.mkdir(parents=True)
        package.write_text(f"open({str(marker)!r}, 'w').close()\nclass Net: pass\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setenv(SECRET, "5")
    return marker


def hostile(honest: dict[str, Any], name: str, folder: Path) -> Path:
    config = copy.deepcopy(honest[CONFIG_KEY])
    HOSTILE[name][0](config, folder / "pwned")
    path = folder / "hostile.ckpt"
    torch.save(honest | {CONFIG_KEY: config}, path)
    return path


def by_load(path: Path) -> None:
    memguard.load(path)


def by_evaluate(path: Path) -> None:
    config = composed("evaluate")
    config.checkpoint = str(path)
    experiment.evaluate(config, path.parent / "run")


def by_score(path: Path) -> None:
    config = composed("score", "checkpoint=x", "video=nothing.mp4")
    config.checkpoint = str(path)
    recording.score(config, path.parent / "run")


def by_checkpoint(path: Path) -> None:
    require_resumable(path, composed("train", *SMALL, *NO_VIDEO))


def by_weights(path: Path) -> None:
    read_weights(path, composed("train", *SMALL, *NO_VIDEO))


@pytest.mark.parametrize("read", [by_load, by_evaluate, by_score, by_checkpoint, by_weights])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_checkpoint_is_refused_and_nothing_of_it_is_run(
    honest: dict[str, Any], name: str, read: Callable[[Path], None], tmp_path: Path, evil: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if name in WHEN_BUILT and read in (by_checkpoint, by_weights):
        pytest.skip("nothing is built from the file's settings")
    monkeypatch.chdir(tmp_path)
    path = hostile(honest, name, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match=HOSTILE[name][1]) as refusal:
        read(path)
    sentence = str(refusal.value)
    assert sentence.startswith(str(path))
    assert sentence.isprintable()
    assert len(sentence) < 600
    assert sorted(tmp_path.rglob("*")) == before
    assert not evil.exists()
    assert "evil_pkg" not in sys.modules


def test_a_refusal_says_how_to_allow_ones_own_class_and_not_how_to_allow_a_program(
    honest: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"add trust=evil_pkg\.$"):
        memguard.load(hostile(honest, "a package of the user", tmp_path))
    with pytest.raises(CheckpointError, match=r"get the file again from a source that you trust"):
        memguard.load(hostile(honest, "guard", tmp_path))


def test_an_honest_checkpoint_loads_by_every_way(honest: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "honest.ckpt"
    torch.save(honest, path)
    assert memguard.load(path).alarm.calibrated
    by_checkpoint(path)
    by_weights(path)


OWN_PACKAGE = '''
import functools, os
from os import system
from memguard.model.autoencoder import Autoencoder
from memguard.detection.guard import MemoryGuard

class Net(Autoencoder):
    """An autoencoder of the user's own, made of parts."""
    def __init__(self, part, **settings):
        super().__init__(**settings)
        self.part = part

class Part:
    def __init__(self, size):
        self.size = size

run = functools.partial(os.system)
'''


@pytest.fixture
def my_pkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine" / "my_pkg"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "nets.py").write_text(OWN_PACKAGE)
    monkeypatch.syspath_prepend(str(folder.parent))
    for name in ("my_pkg", "my_pkg.nets"):
        monkeypatch.delitem(sys.modules, name, raising=False)


OWN_MODEL = (
    "model._target_=my_pkg.nets.Net", "+model.part._target_=my_pkg.nets.Part", "+model.part.size=7",
)  # fmt: skip


@pytest.fixture
def own(tmp_path: Path, my_pkg: None) -> Path:
    path = tmp_path / "own.ckpt"
    torch.save(saved(*OWN_MODEL), path)
    for name in ("my_pkg", "my_pkg.nets"):
        del sys.modules[name]
    return path


def test_a_class_of_ones_own_loads_only_where_its_package_is_trusted(own: Path) -> None:
    for trust in ((), "my", ["my_pkg_evil", "nets"]):
        with pytest.raises(CheckpointError, match=r"model\._target_ is my_pkg\.nets\.Net"):
            memguard.load(own, trust=trust)
        assert "my_pkg" not in sys.modules
    with pytest.raises(CheckpointError, match=r"add trust=\[other,my_pkg\]\.$"):
        memguard.load(own, trust="other")  # both are needed where one class needs the other
    for trust in ("my_pkg", ["other", "my_pkg.nets"]):
        detector = memguard.load(own, trust=trust).detector
        assert (type(detector.autoencoder).__name__, detector.autoencoder.part.size) == ("Net", 7)


def test_evaluate_and_score_take_trust_from_the_command(own: Path, tmp_path: Path) -> None:
    video = "video=/nowhere.mp4"
    with pytest.raises(CheckpointError, match="add trust=my_pkg"):
        recording.score(composed("score", f"checkpoint={own}", video), tmp_path)
    dataset = ["dataset=folder", "dataset.root=/nowhere"]
    config = composed("evaluate", f"checkpoint={own}", "trust=my_pkg", *dataset)
    with pytest.raises(DataError, match="/nowhere: there is no such folder"):
        experiment.evaluate(config, tmp_path / "run")


def test_a_training_that_names_its_class_itself_goes_on_from_its_own_checkpoint(own: Path) -> None:
    require_resumable(own, composed("train", *SMALL, *OWN_MODEL))
    assert read_weights(own, composed("train", *SMALL, *OWN_MODEL))
    with pytest.raises(CheckpointError, match=r"model\._target_ is my_pkg\.nets\.Net"):
        require_resumable(own, composed("train", *SMALL))
    assert read_weights(own, composed("train", *SMALL, "trust=[my_pkg]"))


@pytest.mark.parametrize(
    "target",
    [
        "my_pkg.nets.os.system", "my_pkg.nets.system", "my_pkg.nets.run", "my_pkg.nets.Autoencoder",
        "my_pkg.nets.functools.partial", "my_pkg.nets.Net.__init__.__globals__", "my_pkg.nets",
        "my_pkg.nets.Other", "my_pkg.other.Net", "my_pkg_evil.Net",
    ],
)  # fmt: skip
def test_trust_covers_what_a_package_defines_itself(
    honest: dict[str, Any], target: str, tmp_path: Path, my_pkg: None, evil: Path
) -> None:
    path = tmp_path / "hostile.ckpt"
    config = copy.deepcopy(honest[CONFIG_KEY])
    config["model"] = {"_target_": target, "command": f"touch {tmp_path}/pwned"}
    torch.save(honest | {CONFIG_KEY: config}, path)
    with pytest.raises(CheckpointError, match=rf"model\._target_ is {target}, which"):
        memguard.load(path, trust="my_pkg")
    assert not (tmp_path / "pwned").exists()
    assert not evil.exists()


def test_in_ones_own_class_nothing_is_built_but_trusted_classes_and_parts(
    own: Path, tmp_path: Path
) -> None:
    checkpoint = torch.load(own, weights_only=True)
    for part in (
        touch(tmp_path / "pwned"),
        {"_target_": "memguard.data.datasets.street.street", "root": "x"},
    ):
        checkpoint[CONFIG_KEY]["model"]["part"] = part
        torch.save(checkpoint, own)
        with pytest.raises(CheckpointError, match=r"model\.part\._target_ is"):
            memguard.load(own, trust="my_pkg")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("trust", ["my pkg", "my_pkg.", "os;x", [3]])
def test_trust_is_a_packages_name(trust: Any) -> None:
    with pytest.raises(ConfigError, match="it must be the name of a package"):
        trust_of(None, trust)


def test_a_reader_decides_on_its_own_folders_devices_and_limits(
    honest: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMGUARD_CACHE", str(tmp_path / "cache"))
    config = copy.deepcopy(honest[CONFIG_KEY])
    config["data"]["cache_dir"] = "/elsewhere"
    config["paths"] = {"cache_dir": "/elsewhere", "data_dir": "/elsewhere"}
    config["trainer"] |= {
        "default_root_dir": "/elsewhere", "plugins": "x", "devices": 64, "strategy": "x",
        "profiler": "x", "limit_test_batches": 1, "logger": True,
    }  # fmt: skip
    config["dataset"] |= {"cache": "disk", "on_error": "skip"}
    path = tmp_path / "hostile.ckpt"
    torch.save(honest | {CONFIG_KEY: config}, path)
    _, found = restore(path)
    text = OmegaConf.to_yaml(found, resolve=True)
    assert "elsewhere" not in text
    assert found.data.cache_dir == str(tmp_path / "cache")
    assert set(found.trainer) == {
        "_target_", "accelerator", "precision", "max_epochs", "num_sanity_val_steps",
        "enable_model_summary", "use_distributed_sampler",
    }  # fmt: skip
    assert (found.dataset.cache, found.dataset.on_error) == ("none", "raise")


def test_a_file_does_not_choose_where_the_street_is_generated(
    honest: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ({"root": str(tmp_path / "home")}, {"root_in_data_dir": "../home"}):
        config = copy.deepcopy(honest[CONFIG_KEY])
        config["dataset"] = {"_target_": "memguard.data.datasets.street.street", **place}
        path = tmp_path / "hostile.ckpt"
        torch.save(honest | {CONFIG_KEY: config}, path)
        with pytest.raises(CheckpointError, match=r"add dataset=street to the command"):
            by_evaluate(path)
        assert os.listdir(tmp_path) == ["hostile.ckpt"]


def test_weights_that_do_not_fit_are_one_sentence(honest: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "changed.ckpt"
    torch.save(honest | {"state_dict": {**honest["state_dict"], "other": torch.ones(1)}}, path)
    with pytest.raises(CheckpointError, match=r"its weights do not fit .*other"):
        memguard.load(path)
    torch.save(honest | {"state_dict": [1]}, path)
    with pytest.raises(CheckpointError, match=r"holds no weights"):
        read_checkpoint(path)


@pytest.mark.parametrize("value", [None, [], 7, "absent"])
@pytest.mark.parametrize("group", ["model", "memory", "guard", "scoring", "loss", "task"])
def test_a_group_of_settings_that_is_missing_is_one_sentence(
    honest: dict[str, Any], group: str, value: Any, tmp_path: Path
) -> None:
    settings = {**honest[CONFIG_KEY], group: value}
    if value == "absent":
        del settings[group]
    path = tmp_path / "changed.ckpt"
    torch.save(honest | {CONFIG_KEY: settings}, path)
    for read in (by_load, by_evaluate):
        with pytest.raises(CheckpointError, match=rf"changed.ckpt: .*{group}") as refusal:
            read(path)
        assert str(refusal.value).isprintable()


@pytest.mark.parametrize("target", [None, "???"])
@pytest.mark.parametrize("group", ["model", "memory", "guard", "scoring"])
def test_settings_without_a_class_are_one_sentence(
    honest: dict[str, Any], group: str, target: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "changed.ckpt"
    settings = {**honest[CONFIG_KEY], group: {**honest[CONFIG_KEY][group], "_target_": target}}
    torch.save(honest | {CONFIG_KEY: settings}, path)
    with pytest.raises(CheckpointError, match=rf"its settings of {group} name no class"):
        memguard.load(path)


def test_a_package_with_a_similar_name_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("my_pkg")
    package.Own = type("Own", (), {"__module__": "my_pkg.nets"})  # type: ignore[attr-defined]
    package.Strange = type("Strange", (), {"__module__": "my_pkg_evil"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_pkg", package)
    trust = Trust(("my_pkg",))
    require_allowed("model", {"_target_": "my_pkg.Own"}, {}, trust)
    with pytest.raises(NotTrustedError, match=r"my_pkg\.Strange, which my_pkg does not define"):
        require_allowed("model", {"_target_": "my_pkg.Strange"}, {}, trust)


def test_a_class_that_the_command_names_is_named_for_its_own_key() -> None:
    trust = trust_of(OmegaConf.create({"model": {"_target_": "my_pkg.Net"}}))
    assert trust.allows("model", "my_pkg.Net")
    assert not trust.allows("guard", "my_pkg.Net")
    assert not trust.allows("model", "my_pkg.Other")
