"""Watch many cameras: ``python -m memguard.watch cameras=cameras.yaml``."""

if __name__ == "__main__":
    # Imported here: worker processes import this module as well, and need no command.
    from memguard.cli import run_command

    run_command("watch")
