"""The jobs of a sweep, and the presets of sweeps."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from memguard.config.compose import config_folder, register_resolvers
from memguard.sweep.jobs import PRUNED, Pruned, constant_keys, read_jobs, run_job, varied
from tests.sweep.conftest import job


def swept(name: str, *overrides: str) -> DictConfig:
    """Compose a sweep's command, Hydra's part included."""
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        return compose("train", [f"sweep={name}", *overrides], return_hydra_config=True)


def test_settings_of_a_job_are_text_and_nothing_in_them_is_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMGUARD_TEST_SECRET", "secret")
    texts = ["${oc.env:MEMGUARD_TEST_SECRET}", "{_target_: os.system, command: true}", "glob(*)"]
    job(tmp_path, "a", [f"+x{i}={text}" for i, text in enumerate(texts)], 0.5)
    (read,) = read_jobs(tmp_path)
    assert read.settings["x0"] == texts[0]
    assert "secret" not in str(read.settings)
    assert read.settings["x1"] == "{'_target_': 'os.system', 'command': True}"


def test_presets_vary_the_keys_of_their_names() -> None:
    sizes = swept("memory_size").hydra
    assert sizes.mode.name == "MULTIRUN"
    assert set(sizes.sweeper.params) == {"memory.size", "seed"}
    assert set(swept("loss_weights").hydra.sweeper.params) == {
        "loss.compactness", "loss.separateness",
    }  # fmt: skip


def test_a_search_maximises_a_metric_that_needs_no_labels() -> None:
    config = swept("search")
    assert config.hydra.sweeper._target_ == "hydra_plugins.memguard_search.MemguardSearch"
    assert config.callbacks.pruning.metric == "val/pseudo_auroc"
    assert config.hydra.sweeper.direction == "maximize"
    assert config.optimized_metric == "val/pseudo_auroc"


def test_a_cluster_gets_the_requested_resources() -> None:
    launcher = swept(
        "memory_size", "hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu",
        "hydra.launcher.gpus_per_node=1", "hydra.launcher.timeout_min=600",
    ).hydra.launcher  # fmt: skip
    assert launcher._target_.endswith("SlurmLauncher")
    assert (launcher.partition, launcher.gpus_per_node, launcher.timeout_min) == ("gpu", 1, 600)


def test_jobs_are_read_by_number_with_how_they_ended_and_what_varied(tmp_path: Path) -> None:
    for size in ("10", "5", "none"):
        job(tmp_path, size, [f"memory.size={size}", "paths.cache_dir=/a", "task=pred"], 0.5)
    job(tmp_path, "7", ["memory.size=7", "paths.cache_dir=/b", "task=pred"], None)
    job(tmp_path, "9", ["memory.size=9", "+extra=1", "task=pred"], None)
    (tmp_path / "9" / "failure.txt").unlink()
    (tmp_path / "5" / "provenance.json").write_text(json.dumps({"minutes": 3.5}))
    jobs = read_jobs(tmp_path)
    assert [each.settings["memory.size"] for each in jobs] == [5, 7, 9, 10, "none"]
    ends = ["finished", "failed", "unfinished", "finished", "finished"]
    assert [each.status for each in jobs] == ends
    assert [each.minutes for each in jobs] == [3.5, None, None, None, None]
    assert set(varied(jobs)) == {"memory.size", "extra"}


def test_a_key_that_is_swept_is_not_constant_wherever_else_it_is_set() -> None:
    command = ["dataset=ped2", "memory.size=7", "memory.size=5,10", "seed=range(3)"]
    assert constant_keys(command) == ["dataset"]


@pytest.fixture
def searched(tmp_path: Path) -> Iterator[DictConfig]:
    """The configuration of a search's job, in its own folder."""
    config = swept("search", "hydra.mode=MULTIRUN", f"hydra.runtime.output_dir={tmp_path}")
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    yield config
    HydraConfig.instance().cfg = before


def test_a_search_ends_with_the_first_job_that_lacks_its_metric(searched: DictConfig) -> None:
    assert run_job(searched, lambda config: {"val/pseudo_auroc": 0.5, "val/psnr": 20.0}) == 0.5
    searched.optimized_metric = "test/ap"
    with pytest.raises(SystemExit, match=r"test/ap is not among .* val/pseudo_auroc"):
        run_job(searched, lambda config: {"val/pseudo_auroc": 0.5})


def test_a_pruned_job_keeps_its_reason_and_does_not_run_again(
    searched: DictConfig, tmp_path: Path
) -> None:
    def pruned(config: DictConfig) -> dict[str, float]:
        raise Pruned("val/psnr is 20 after 2 epochs.")

    assert run_job(searched, pruned) == PRUNED
    assert run_job(searched, lambda config: {"val/pseudo_auroc": 0.5}) == PRUNED
    assert (tmp_path / "pruned.txt").read_text() == "val/psnr is 20 after 2 epochs.\n"
    assert not (tmp_path / "failure.txt").exists()
