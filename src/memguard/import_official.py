"""Import the authors' files: ``python -m memguard.import_official model=… items=… output=…``."""

if __name__ == "__main__":
    # Imported here: worker processes import this module as well, and need no command.
    from memguard.cli import run_command

    run_command("import-official")
