"""Commands of SLURM that say what a test wants, for what needs no cluster."""

import os
import stat
from pathlib import Path

# Two kinds of nodes in one partition, as sites have them; the limits of a usual one.
SINFO = """\
cpu*|cpu|up|2-00:00:00|1-infinite|40|64|256000|(null)
gpu|gpu|up|1-00:00:00|1-4|8|96|1000000|gpu:a100:8(S:0-1)
gpu|gpu|up|1-00:00:00|1-4|2|64|500000|gpu:v100:4(S:0)
old|old|down|infinite|1-infinite|4|16|64000|gpu:2
"""
ENFORCED = "AccountingStorageEnforce = associations,limits,qos\n"
NO_ACCOUNTING = "You are not running a supported accounting_storage plugin\n"


class FakeSlurm:
    """A folder for PATH: commands that print what they were given and note their arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.says("sinfo", SINFO)
        self.says("sacctmgr", "astro\nvision\n")
        self.says("scontrol", "")
        self.says("squeue", "")
        self.says("sacct", "", "Slurm accounting storage is disabled\n", 1)
        self.says("sbatch", "4242\n")

    @property
    def path(self) -> str:
        """The value of PATH with these commands in front."""
        return f"{self.folder}:{os.environ['PATH']}"

    def says(self, command: str, output: str, error: str = "", status: int = 0) -> None:
        """Let a command print this and end so."""
        (self.folder / f"{command}.out").write_text(output, encoding="utf-8")
        (self.folder / f"{command}.err").write_text(error, encoding="utf-8")
        script = self.folder / command
        # Separators that stand in no argument; a shell, because a Python takes ten times as long.
        script.write_text(
            "#!/bin/sh\n"
            f"{{ printf '%s\\037' \"$@\"; printf '\\036'; }} >> '{script}.calls'\n"
            f"cat '{script}.out'\n"
            f"cat '{script}.err' >&2\n"
            f"exit {status}\n",
            encoding="utf-8",
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    def calls(self, command: str) -> list[list[str]]:
        """The arguments of each call of a command."""
        noted = self.folder / f"{command}.calls"
        text = noted.read_text(encoding="utf-8") if noted.exists() else ""
        return [call.split("\x1f")[:-1] for call in text.split("\x1e")[:-1]]
