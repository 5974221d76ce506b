"""Give a checkpoint the alarm of normal hours: ``python -m memguard.calibrate checkpoint=…``."""

if __name__ == "__main__":
    # Imported here: worker processes import this module as well, and need no command.
    from memguard.cli import run_command

    run_command("calibrate")
