"""Import the authors' files: ``python -m memguard.import_official model=… items=… output=…``."""

if __name__ == "__main__":
    # Imported here, as processes that are started from this one import this module, and no more.
    from memguard.command_line import run
    from memguard.commands.import_official import main

    run(main, literal=("model", "items", "output"))
