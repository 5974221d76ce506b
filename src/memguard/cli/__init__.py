"""The command line: one entry for all commands."""

import gc
import runpy
import sys
from importlib import import_module

from memguard.cli.interrupts import ended_beside_cameras, loading, quietly_interrupted

COMMANDS = {
    "train": "train a detector on normal video and test it",
    "evaluate": "test a checkpoint, or a baseline without a model",
    "score": "score a video or a camera, and report events",
    "calibrate": "give a checkpoint the alarm of hours of normal video",
    "watch": "watch many cameras, and notify of events",
    "export": "write a checkpoint's graph, for ONNX Runtime or OpenVINO",
    "prepare": "check a dataset, convert its frames, or download it",
    "train-denoiser": "train a denoiser for noisy cameras",
    "import-official": "make a checkpoint of the authors' weights",
}
# A command whose modules are fewer.
MODULES = {"score": "memguard.cli.scoring"}
# Keys with paths or places to serve, beside those that every command has.
LITERAL = {
    "import-official": ("model", "items", "output"),
    "calibrate": ("output",),
    "export": ("output",),
    "watch": ("cameras", "folder", "serve"),
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
    literal = LITERAL.get(name, ())
    with ended_beside_cameras(), quietly_interrupted():
        with loading():  # for seconds
            from memguard.config.command_line import run

            commands = import_module(MODULES.get(name, "memguard.cli.commands"))
        gc.freeze()  # else the end of the process searches all modules for garbage, for seconds
        run(commands.COMMANDS[name], literal)
