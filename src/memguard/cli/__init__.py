"""The command line: one entry for all commands."""

import runpy
import sys

from memguard.cli.interrupts import loading, quietly_interrupted

COMMANDS = {
    "train": "train a detector on normal video and test it",
    "evaluate": "test a checkpoint, or a baseline without a model",
    "score": "score a video or a camera, and report events",
    "prepare": "check a dataset, convert its frames, or download it",
    "import-official": "make a checkpoint of the authors' weights",
}


def main() -> None:
    """Run the command that the first word names: ``memguard train dataset=ped2``."""
    name, words = (sys.argv[1:2] or ["--help"])[0], sys.argv[2:]
    if name in ("-h", "--help"):
        print("memguard COMMAND KEY=VALUE …\n")
        for command, purpose in COMMANDS.items():
            print(f"  {command:16} {purpose}")
        print("\nmemguard COMMAND --help lists the keys of a command.")
    elif name not in COMMANDS:
        sys.exit(f"There is no command {name}: choose from {', '.join(COMMANDS)}.")
    else:
        # As a module: Lightning starts further processes by the name of the main module.
        sys.argv[1:] = words
        module = f"memguard.{name.replace('-', '_')}"
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def run_command(name: str) -> None:
    """Run a command by its name under the words of this process."""
    literal = ("model", "items", "output") if name == "import-official" else ()
    with quietly_interrupted():
        with loading():  # for seconds
            from memguard.cli import commands
            from memguard.config.command_line import run
        run(commands.COMMANDS[name], literal)
