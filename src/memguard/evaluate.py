"""Test a trained detector: ``python -m memguard.evaluate checkpoint=… dataset=ped2``."""

if __name__ == "__main__":
    # Imported here, as processes that are started from this one import this module, and no more.
    from memguard.command_line import run
    from memguard.commands.evaluate import main

    run(main)
