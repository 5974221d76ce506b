"""Train and test a detector: ``python -m memguard.train dataset=ped2 task=pred``."""

if __name__ == "__main__":
    # Imported here: worker processes import this module as well, and need no command.
    from memguard.cli import run_command

    run_command("train")
