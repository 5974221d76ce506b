"""Test a trained detector: ``python -m memguard.evaluate checkpoint=… dataset=ped2``."""

if __name__ == "__main__":
    # Imported here: worker processes import this module as well, and need no command.
    from memguard.cli import run_command

    run_command("evaluate")
