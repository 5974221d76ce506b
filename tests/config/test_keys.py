"""Keys that a command does not have are refused with the nearest that it has."""

from pathlib import Path

import pytest

from memguard.config.compose import config_folder, register_resolvers
from memguard.config.keys import unknown_keys


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("train", ["sed=1"], "sed is not known: did you mean seed?"),
        ("train", ["model=mnad_tiny", "memory.sise=3"],
         "memory.sise is not known: did you mean memory.size?"),
        ("train", ["trainer.max_epoch=3"],
         "trainer.max_epoch is not known: did you mean trainer.max_epochs?"),
        ("train", ["-m", "loss.compactnes=0,1", "dataset=ped2,avenue"],
         "loss.compactnes is not known: did you mean loss.compactness?"),
        ("train", ["callbacks.memory.figure_evry=2"],
         "callbacks.memory.figure_evry is not known: did you mean callbacks.memory.figure_every?"),
        ("evaluate", ["guard.treshold=1"],
         "guard.treshold is not known: did you mean guard.threshold?"),
        ("evaluate", ["trainer.acelerator=cpu"],
         "trainer.acelerator is not known: did you mean trainer.accelerator?"),
        ("score", ["anotate=true"], "anotate is not known: did you mean annotate?"),
        ("prepare", ["windw=2"], "windw is not known: did you mean window?"),
        # Hydra trains without an optional group of which it does not find the option.
        ("train", ["experiment=demmo"],
         "experiment=demmo is not known: did you mean experiment=demo?"),
        ("train", ["debug=overfitt"], "debug=overfitt is not known: did you mean debug=overfit?"),
        ("train", ["sweep=memory_sizes"],
         "sweep=memory_sizes is not known: did you mean sweep=memory_size?"),
        ("train", ["-m", "experiment=demo,nothing_like_it"],
         "experiment=nothing_like_it is not known: it must be one of ablation_ped2, ddp_ped2, "
         "demo, paper_avenue_pred, paper_avenue_recon, paper_ped2_pred, paper_ped2_recon, "
         "paper_shanghaitech_pred, paper_shanghaitech_recon, small_ped2_pred, small_ped2_recon."),
        ("evaluate", ["baseline=previous"],
         "baseline=previous is not known: did you mean baseline=previous_frame?"),
        ("train", ["task=none", "nothing=1"],
         "task=none is not known: it must be one of pred, recon."),
        ("evaluate", ["scoring=pach"], "scoring=pach is not known: did you mean scoring=patch?"),
        # Hydra ends with a traceback.
        ("train", ["logger=null"],
         "logger=null cannot work: set logger to csv, none, tensorboard, wandb, or leave it out."),
        ("train", ["trainer=3"],
         "trainer=3 cannot work: set trainer to cpu, ddp, default, gpu, mps, or leave it out."),
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_with_the_nearest(
    name: str, words: list[str], sentence: str
) -> None:
    register_resolvers()
    assert unknown_keys(name, config_folder(), words) == sentence


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("train", ["trainer.max_steps=3", "trainer.strategy.x=1", "+my.own=2", "++seed=3"]),
        (
            "train",
            ["dataset=avenue", "dataset.labels=masks", "hydra.run.dir=x", "~callbacks.memory"],
        ),
        ("train", ["-m", "dataset=ped2,avenue", "scoring.weight=0,1", "hydra/launcher=joblib"]),
        ("train", ["experiment=paper_ped2_pred", "data.holdout=0.1", "loss=mnad"]),
        ("train", ["--config-name", "mine", "key.of.mine=1"]),
        (
            "evaluate",
            ["baseline=previous_frame", "dataset=folder", "dataset.root=x", "scoring=patch"],
        ),
        ("evaluate", ["trainer.limit_test_batches=3"]),
        ("train", ["-m", "experiment=demo,paper_ped2_pred", "~logger", "'callbacks'='train'"]),
        ("train", ["callbacks=[train,each_epoch]", "task='recon'", "sweep=search"]),
        ("prepare", ["dataset=ped2", "dataset.root=x"]),
    ],
)
def test_known_keys_and_additions_pass(name: str, words: list[str]) -> None:
    register_resolvers()
    assert unknown_keys(name, config_folder(), words) is None


def test_all_unknown_keys_are_reported_at_once() -> None:
    register_resolvers()
    words = ["sed=1", "model=mnad_tiny", "seed=1", "memory.sise=3"]
    assert unknown_keys("train", config_folder(), words) == (
        "The configuration has 2 problems:\n"
        "sed is not known: did you mean seed?\n"
        "memory.sise is not known: did you mean memory.size?"
    )
    words = ["experiment=demmo", "sweep=memory_sizes", "sed=1"]
    assert str(unknown_keys("train", config_folder(), words)).count("did you mean") == 2
    words = ["logger=null", "trainer=3", "sed=1"]
    assert str(unknown_keys("train", config_folder(), words)).count("cannot work") == 2


def test_options_of_other_folders_are_composed_for_their_keys(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "mine.yaml").write_text("defaults: [mnad]\nlargest: 3\n")
    register_resolvers()
    for place in (
        ["--config-dir", str(tmp_path)],
        [f"--config-dir={tmp_path}"],
        [f"hydra.searchpath=[file://{tmp_path}]"],
    ):
        words = [*place, "memory=mine", "memory.largst=2", "memory.dimm=3"]
        assert unknown_keys("train", config_folder(), words) == (
            "The configuration has 2 problems:\n"
            "memory.largst is not known: did you mean memory.largest?\n"
            "memory.dimm is not known: did you mean memory.dim?"
        )
        assert unknown_keys("train", config_folder(), [*place, "memory=mine", "seed=1"]) is None


def test_a_file_of_options_that_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "mine.yaml").write_text("size: 3\ndim: [4\n")
    register_resolvers()
    found = unknown_keys("train", config_folder(), [f"--config-dir={tmp_path}", "memory=mine"])
    assert found is not None
    assert found.startswith(f"{tmp_path}/memory/mine.yaml, line ")
    assert "this is no YAML" in found


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    register_resolvers()
    found = unknown_keys("train", config_folder(), [f"--config-dir={tmp_path}/none", "memory=mine"])
    assert found == f"--config-dir={tmp_path}/none: there is no such folder; correct its path."


def test_a_group_of_another_command_is_refused() -> None:
    register_resolvers()
    found = unknown_keys("evaluate", config_folder(), ["trainer=cpu", "model=mnad"])
    assert found == (
        "model is no group of this command's options: its groups are baseline, callbacks, dataset, "
        "logger, scoring, trainer."
    )


def test_another_argument_of_a_class_needs_a_plus() -> None:
    register_resolvers()
    found = unknown_keys("train", config_folder(), ["optimizer.betas=3"])
    assert found == (
        "optimizer.betas is not known: it must be one of fused, lr. Another argument of its class "
        "is +optimizer.betas=…"
    )


def test_an_unknown_option_is_refused_beside_other_folders(tmp_path: Path) -> None:
    for option in ("memory/mine.yaml", "experiment/wide/two.yaml"):
        (tmp_path / option).parent.mkdir(parents=True)
        (tmp_path / option).write_text("{}")
    register_resolvers()
    for words, sentence in {
        ("memory=mime",): "memory=mime is not known: did you mean memory=mine?",
        ("-m", "memory=mnad,mime"): "memory=mime is not known: did you mean memory=mine?",
        ("experiment=demmo",): "experiment=demmo is not known: did you mean experiment=demo?",
        (
            "experiment=wide/too",
        ): "experiment=wide/too is not known: did you mean experiment=wide/two?",
        ("memory=3",): (
            "memory=3 cannot work: set memory to growing, memae, mine, mnad, multiscale, none, or "
            "leave it out."
        ),
        ("experiment=wide/two",): None,
        ("-m", "memory=glob(m*)"): None,
    }.items():
        for place in (f"--config-dir={tmp_path}", f"hydra.searchpath=[file://{tmp_path}]"):
            assert unknown_keys("train", config_folder(), [place, *words]) == sentence
