"""A real SLURM cluster on one host for the tests: three nodes, two fake GPUs each, no root needed.

    with Lab(accounting=False) as lab:
        lab.run("sbatch", "--gres=gpu:1", "--wrap", "sleep 1")

Everything lives in a folder of its own in /tmp and listens on this host's own address; several
clusters can stand side by side. Only /etc/hosts is touched, where it can be, so that the names of
the nodes resolve as they do on a cluster.
"""

import fcntl
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from getpass import getuser
from pathlib import Path

from tests.slurm.lab_files import NODES, Ports, Site, write_site

CORE = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "setpriv": "util-linux",
}
ACCOUNTING = {
    "slurmdbd": "slurmdbd",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
}
SBIN = "/usr/sbin:/sbin"


def missing_packages(accounting: bool) -> list[str]:
    """The Debian packages that a cluster needs and this machine lacks."""
    wanted = CORE | (ACCOUNTING if accounting else {})
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    return sorted(
        {package for name, package in wanted.items() if not shutil.which(name, path=path)}
    )


def wait_until(what: str, true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to become true. AssertionError: it did not within `seconds`."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, f"waited {seconds} s for {what}"
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """TCP ports that nobody listens on, below those that the system gives to clients."""
    found: list[int] = []
    port = random.randrange(17000, 30000)  # another cluster may look at the same moment
    while len(found) < count:
        port += 1
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
        found.append(port)
    return found


class Lab:
    """One cluster: its daemons are children of this process and end with it."""

    def __init__(self, accounting: bool) -> None:
        # Sockets have paths of at most 107 characters, so not pytest's own folder.
        folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        host = socket.gethostname().split(".")[0]
        controller, accounts, database, *nodes = free_ports(3 + len(NODES))
        ports = Ports(controller, tuple(nodes), accounts, database)
        address = socket.gethostbyname(host)
        self.site = Site(folder, host, address, getuser(), ports, accounting)
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Lab":
        write_site(self.site)
        self._write_host_names()
        try:
            if self.site.accounting:
                self._create_database()
            for name in self._daemon_names():
                self.start(name)
                if name == "slurmdbd":
                    self._create_account()
            wait_until("all nodes to register", self._nodes_are_idle)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_running("slurmctld"):
            self.cancel_all()
        for name in reversed(list(self.daemons)):
            self.stop(name)
        self._remove_host_names()
        shutil.rmtree(self.site.folder, ignore_errors=True)

    # What a test asks of the cluster

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user who has logged in to this cluster."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
        path = f"{self.site.clients}:{kept.get('PATH', '')}:{SBIN}"
        return {**kept, "PATH": path, "SLURM_CONF": str(self.site.conf)}

    def run(self, *command: str) -> str:
        """What a client prints. AssertionError: it failed, with what it said."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"
        return done.stdout.strip()

    def submit(self, script: str, *options: str) -> str:
        """Put a shell command into the queue; its job id."""
        output = f"--output={self.site.folder}/log/%j.out"
        return self.run("sbatch", "--parsable", output, *options, "--wrap", script)

    def output(self, job: str) -> str:
        """What a job of `submit` has printed."""
        return (self.site.folder / f"log/{job}.out").read_text(encoding="utf-8")

    def state(self, job: str) -> str:
        """The state of a job in the words of squeue, which knows ended jobs for five minutes."""
        return self.run("squeue", "--noheader", "--states=all", "--format=%T", "--jobs", job)

    def jobs(self, *states: str) -> dict[str, str]:
        """Job ids and states of the jobs that squeue knows, of all of them without `states`."""
        asked = f"--states={','.join(states) or 'all'}"
        lines = self.run("squeue", "--noheader", asked, "--format=%A %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_for_state(self, job: str, *states: str, seconds: float = 90) -> None:
        """Wait until a job is in one of these states."""
        wait_until(
            f"job {job} to be {' or '.join(states)}", lambda: self.state(job) in states, seconds
        )

    def wait_for(self, command: list[str], printed: str, seconds: float = 60) -> None:
        """Wait until a client prints this."""
        what = f"{' '.join(command)} to print {printed}"
        wait_until(what, lambda: self.run(*command) == printed, seconds)

    def cancel_all(self) -> None:
        """End every job, so that the next test finds an empty queue."""
        live = "PENDING,RUNNING,SUSPENDED,CONFIGURING,COMPLETING"
        if jobs := self.jobs(*live.split(",")):
            self.run("scancel", *jobs)
        wait_until("the queue to be empty", lambda: not self.jobs(*live.split(",")))

    # What a test does to the cluster

    def start(self, name: str) -> None:
        """Start a daemon, a node by its name, and wait until it answers."""
        command, answers = self._daemon(name)
        log = self.site.folder / f"log/{name}.start.log"
        with log.open("ab") as out:
            # A killed test must not leave a cluster behind.
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            wait_until(f"{name} to answer", lambda: not self.is_running(name) or answers())
            assert self.is_running(name), f"{name} ended at once"
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log.read_text()}\n{self._tail(name)}") from None

    def stop(self, name: str) -> None:
        """Ask a daemon to end; after 20 s kill it."""
        daemon = self.daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def save_state(self, job: str) -> None:
        """Let the controller write down what it knows now; it does so some seconds after a change.

        A controller that is killed before has never heard of the job.
        """
        state = self.site.folder / "state/job_state"
        before = time.time_ns()
        self.run("scontrol", "update", f"jobid={job}", "TimeLimit=7")
        wait_until(
            "the controller to save", lambda: state.exists() and state.stat().st_mtime_ns > before
        )

    def kill(self, name: str) -> None:
        """End a daemon at once, as a crash does; jobs on a killed node run on unseen."""
        daemon = self.daemons.pop(name)
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()

    def is_running(self, name: str) -> bool:
        """Whether a daemon was started and has not ended."""
        return name in self.daemons and self.daemons[name].poll() is None

    def set_node(self, node: str, state: str) -> None:
        """Tell the controller that a node is `down` or may `resume`."""
        self.run("scontrol", "update", f"nodename={node}", f"state={state}", "reason=test")

    def kill_processes_of(self, job: str) -> None:
        """End all processes of a job at once, SLURM's own among them, as the end of a node does."""
        marks = {f"SLURM_CONF={self.site.conf}", f"SLURM_JOB_ID={job}"}
        found: set[int] = set()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if marks <= set((folder / "environ").read_text(errors="replace").split("\0")):
                    parent = re.search(r"PPid:\s+(\d+)", (folder / "status").read_text())
                    found |= {int(folder.name)} | ({int(parent[1])} if parent else set())
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended by itself, or is no process of ours
        # None of them may see the end of another, so all stand still before the first one ends.
        # SLURM's own would report the end of the job; they are the parents of the job's.
        ours = [p for p in found if p > 1]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in ours:
                with suppress(ProcessLookupError):
                    os.kill(process, number)

    def repair(self) -> None:
        """Give the next test what `with Lab()` gave: all daemons, idle nodes, an empty queue."""
        for name in self._daemon_names():
            if not self.is_running(name):
                self.start(name)
        self.cancel_all()
        if down := self.run(
            "sinfo", "-h", "-N", "-p", "main", "-t", "down,drain", "-o", "%N"
        ).split():
            self.set_node(",".join(down), "resume")
        wait_until("all nodes to be idle", self._nodes_are_idle)

    # How it is brought up

    def _daemon_names(self) -> list[str]:
        """All daemons, in the order in which they start."""
        accounting = ["mariadbd", "slurmdbd"] if self.site.accounting else []
        return ["munged", *accounting, "slurmctld", *NODES]

    def _daemon(self, name: str) -> tuple[list[str], Callable[[], bool]]:
        """The command of a daemon in the foreground, and the sign that it is ready."""
        site, folder = self.site, self.site.folder
        if name == "munged":
            files = {"key-file": "key", "socket": "socket", "pid-file": "pid"}
            files |= {"log-file": "log", "seed-file": "seed"}
            options = [f"--{option}={folder}/munge/{file}" for option, file in files.items()]
            return ["munged", "--foreground", *options], site.munge_socket.exists
        if name == "mariadbd":
            options = [
                "--no-defaults", f"--user={site.user}", f"--datadir={folder}/mysql",
                f"--socket={folder}/run/mariadb.sock", f"--pid-file={folder}/run/mariadbd.pid",
                "--bind-address=127.0.0.1", f"--port={site.ports.database}", "--skip-name-resolve",
                "--skip-log-bin", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M",
                "--innodb-lock-wait-timeout=900", f"--init-file={folder}/init.sql",
            ]  # fmt: skip
            return ["mariadbd", *options], lambda: self._listens("127.0.0.1", site.ports.database)
        if name == "slurmdbd":
            return ["slurmdbd", "-D"], lambda: self._succeeds("sacctmgr", "-n", "list", "cluster")
        if name == "slurmctld":
            return ["slurmctld", "-D"], lambda: self._succeeds("scontrol", "ping")
        port = site.ports.nodes[NODES.index(name)]
        return ["slurmd", "-D", "-N", name], lambda: self._listens(site.address, port)

    def _succeeds(self, *command: str) -> bool:
        return not subprocess.run(command, env=self.environment, capture_output=True).returncode

    def _listens(self, address: str, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((address, port)) == 0

    def _tail(self, name: str) -> str:
        stem = f"slurmd-{name}" if name in NODES else name
        log = self.site.folder / f"log/{stem}.log"
        return "\n".join(log.read_text().splitlines()[-15:]) if log.exists() else ""

    def _nodes_are_idle(self) -> bool:
        return self.run("sinfo", "-h", "-p", "main", "-t", "idle", "-o", "%D") == str(len(NODES))

    def _create_database(self) -> None:
        options = [
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ]
        where = [f"--user={self.site.user}", f"--datadir={self.site.folder}/mysql"]
        self.run("mariadb-install-db", "--no-defaults", *where, *options)

    def _create_account(self) -> None:
        """Account `lab`, of which the user of this host is a member."""
        self.run("sacctmgr", "-i", "add", "cluster", "lab")
        self.run("sacctmgr", "-i", "add", "account", "lab", "Description=lab", "Organization=lab")
        self.run("sacctmgr", "-i", "add", "user", self.site.user, "account=lab")

    def _host_names(self, edit: Callable[[list[str]], list[str]]) -> None:
        """Change the lines of /etc/hosts, one cluster at a time."""
        hosts = Path("/etc/hosts")
        if os.access(hosts, os.W_OK):
            with hosts.open("r+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                lines = edit(file.read().splitlines())
                file.seek(0)
                file.write("\n".join(lines) + "\n")
                file.truncate()

    def _write_host_names(self) -> None:
        line = f"{self.site.address} {' '.join(NODES)} # {self.site.folder}"
        self._host_names(lambda lines: [*lines, line])

    def _remove_host_names(self) -> None:
        tag = f"# {self.site.folder}"
        self._host_names(lambda lines: [line for line in lines if not line.endswith(tag)])
