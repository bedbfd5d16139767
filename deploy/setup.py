"""Set-up on a machine with Python ≥ 3.11: `.venv/`, locked dependencies, a CPU build of PyTorch where there is no GPU.

    python3 deploy/setup.py [--dev]

A second call installs nothing. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
TORCH = "torch==2.13.0"
CPU_HOST = "download.pytorch.org"
CPU_INDEX = f"https://{CPU_HOST}/whl/cpu"


def main() -> int:
    dev = "--dev" in sys.argv
    if sys.version_info < (3, 11):  # noqa: UP036 (this file runs before any environment exists)
        return fail(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: install it and run this again with it.")
    wanted = stamp(dev)
    marks = [VENV / ".ready", VENV / ".ready-dev"]
    if any(mark.exists() and mark.read_text() == wanted for mark in marks[int(dev) :]) or (
        not dev and marks[1].exists() and marks[1].read_text() == stamp(True)
    ):
        return 0
    if not make_venv():
        return 2
    install_torch()
    locks = ["requirements.lock"] + (["requirements-dev.lock"] if dev else [])
    say(f"installing the locked dependencies ({', '.join(locks)}) …")
    pip(*[word for lock in locks for word in ("-r", str(ROOT / lock))])
    pip("--no-deps", "--no-build-isolation", "-e", str(ROOT))
    say("training the topic models of the bundled playbook (once) …")
    subprocess.run([str(VENV / "bin" / "coach"), "reindex", "--shared", "--data", str(VENV / "share" / "setup")], check=True, cwd=ROOT)
    shutil.rmtree(VENV / "share" / "setup", ignore_errors=True)
    marks[int(dev)].write_text(wanted)
    say("ready.")
    return 0


def stamp(dev: bool) -> str:
    """What the environment depends on: locks, project file, content that models are trained on."""
    names = ["requirements.lock", "pyproject.toml"] + (["requirements-dev.lock"] if dev else [])
    return hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in names) + sys.version.encode()).hexdigest()


def make_venv() -> bool:
    if (VENV / "bin" / "python").exists():
        return True
    try:
        import ensurepip  # noqa: F401
        import venv
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        fail(f"Python's venv module is missing: install the package python{version}-venv (Debian/Ubuntu: apt-get install python{version}-venv).")
        return False
    say("creating .venv …")
    venv.create(VENV, with_pip=True)
    pip("setuptools>=77", "wheel")
    return True


def install_torch() -> None:
    """A CPU build where there is no NVIDIA GPU: PyTorch's own CPU index if it can be reached, else what pip finds."""
    if subprocess.run([str(VENV / "bin" / "python"), "-c", "import torch"], capture_output=True).returncode == 0:
        return
    say(f"installing PyTorch ({TORCH}) …")
    if shutil.which("nvidia-smi") or sys.platform != "linux":
        pip(TORCH)
    elif reachable(CPU_HOST):
        pip(TORCH, "--index-url", CPU_INDEX)
    elif not pip(f"{TORCH}+cpu", required=False, extra=own_pip_settings()):
        say("no CPU build found; taking the default build, which is larger")
        pip(TORCH)


def own_pip_settings() -> dict[str, str]:
    """The account's own pip settings, also when HOME points elsewhere (sudo, CI): a local folder of wheels may be named there."""
    config = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".config" / "pip" / "pip.conf"
    return {"PIP_CONFIG_FILE": str(config)} if config.exists() and "PIP_CONFIG_FILE" not in os.environ else {}


def reachable(host: str) -> bool:
    try:
        socket.create_connection((host, 443), timeout=5).close()
    except OSError:
        return False
    return True


def pip(*words: str, required: bool = True, extra: dict[str, str] | None = None) -> bool:
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q", *words]
    done = subprocess.run(command, env=os.environ | (extra or {}), capture_output=not required)
    if required and done.returncode:
        sys.exit(fail(f"pip could not install {' '.join(words)}: see above; check the network or your package index, then run this again."))
    return done.returncode == 0


def say(text: str) -> None:
    print(f"[set-up] {text}", file=sys.stderr, flush=True)


def fail(text: str) -> int:
    print(f"[set-up] {text}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
