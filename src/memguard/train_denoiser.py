"""Train a denoiser for noisy cameras: ``python -m memguard.train_denoiser dataset=folder …``."""

if __name__ == "__main__":
    # Imported here: worker processes import this module as well, and need no command.
    from memguard.cli import run_command

    run_command("train-denoiser")
