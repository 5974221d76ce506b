"""Export the graph of a checkpoint: ``python -m memguard.export checkpoint=… output=door.onnx``."""

if __name__ == "__main__":
    # Imported here: worker processes import this module as well, and need no command.
    from memguard.cli import run_command

    run_command("export")
