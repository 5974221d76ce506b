"""Watch videos or a camera: ``python -m memguard.score checkpoint=… video=…``."""

if __name__ == "__main__":
    # Imported here: worker processes import this module as well, and need no command.
    from memguard.cli import run_command

    run_command("score")
