"""How a run is called where several are looked at side by side: by what varies."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

LONGEST = 128  # letters that W&B takes for a run or a group


def run_name() -> str:
    """Name this run: in a sweep by its values of what the sweep varies, else by its folder."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    if hydra.mode != RunMode.MULTIRUN:
        return f"{folder.parent.name}/{folder.name}"[-LONGEST:]
    varied = _varied_keys(Path(hydra.sweep.dir))
    values = [text for text in hydra.overrides.task if text.lstrip("+").split("=")[0] in varied]
    return " ".join(values)[:LONGEST] or folder.name


def sweep_name() -> str | None:
    """Name the sweep that this job belongs to by its folder; None for a run of its own."""
    hydra = HydraConfig.get()
    return Path(hydra.sweep.dir).name[-LONGEST:] if hydra.mode == RunMode.MULTIRUN else None


def _varied_keys(sweep: Path) -> set[str]:
    """Which keys a sweep varies: those of its sweeper's configuration and of its command line."""
    varied = set(HydraConfig.get().sweeper.get("params") or {})
    command = sweep / "multirun.yaml"  # Hydra's record of it; a job knows its own values alone
    if command.exists():
        texts = OmegaConf.select(OmegaConf.load(command), "hydra.overrides.task") or []
        overrides = OverridesParser.create().parse_overrides(list(texts))
        varied |= {o.get_key_element().lstrip("+") for o in overrides if o.is_sweep_override()}
    return varied
