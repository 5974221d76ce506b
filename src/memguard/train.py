"""Train and test a detector: ``python -m memguard.train dataset=ped2 task=pred``."""

if __name__ == "__main__":
    # Imported here, as processes that are started from this one import this module, and no more.
    from memguard.command_line import run
    from memguard.commands.train import main

    run(main)
