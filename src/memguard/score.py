"""Watch videos or a camera: ``python -m memguard.score checkpoint=… video=…``."""

if __name__ == "__main__":
    # Imported here, as processes that are started from this one import this module, and no more.
    from memguard.command_line import run
    from memguard.commands.score import main

    run(main)
