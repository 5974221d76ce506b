"""Names of runs and jobs: alike for the same request, and short."""

from memguard.config.naming import job_name


def test_a_jobs_name_names_its_overrides_and_nothing_else() -> None:
    overrides = ["dataset.root=/north", "seed=1"]
    name = job_name("seed-1", overrides)
    assert name == job_name("seed-1", ["optimized_metric=test/auroc", *reversed(overrides)])
    assert name != job_name("seed-1", ["dataset.root=/south", "seed=1"])
    assert "/" not in job_name("dataset.root-/north", overrides)
    assert len(job_name("seed-1_" * 100, overrides)) < 200
    assert job_name("", [])


def test_what_changes_no_result_does_not_change_a_jobs_name() -> None:
    name = job_name("seed-1", ["seed=1"])
    for override in ("paths.cache_dir=/north", "sweep=memory_size", "optimized_metric=test/ap"):
        assert job_name("seed-1", ["seed=1", override]) == name


def test_a_long_name_keeps_what_comes_first() -> None:
    assert job_name("memory.size-5_" + "x" * 200, []).startswith("memory.size-5_xxx")
