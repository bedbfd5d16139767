"""`make deploy-check`: what under deploy/ can be checked without a container engine, and what was not.

    python .ci/deploy_check.py [--no-build]

The compose file against the published schema (check-jsonschema), the unit by systemd-analyze where it is there, the
image's steps (deploy/build.sh) in a clean folder. No image is built: that needs a container engine and a registry.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    checks = [compose, unit] + ([] if "--no-build" in sys.argv else [steps])
    told = [(check.__name__, check()) for check in checks]
    for name, (passed, words) in told:
        print(f"{'ok    ' if passed else 'FAILED'} {name}: {words}")
    print("Not built here: the image itself (python:3.11-slim comes from a registry). Build it with: docker build -f deploy/Dockerfile .")
    return 0 if all(passed for _, (passed, _) in told) else 1


def run(*words: str | Path) -> tuple[bool, str]:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=ROOT)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def compose() -> tuple[bool, str]:
    try:
        import check_jsonschema  # noqa: F401
    except ImportError:
        return False, "check-jsonschema is not installed (it is in the dev extra): make setup-dev"
    passed, words = run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")
    return passed, "valid against the published Compose schema" if passed else words


def unit() -> tuple[bool, str]:
    """The unit, with a program that exists on this machine in the place of /opt/coach."""
    if not shutil.which("systemd-analyze"):
        return True, "not checked, systemd-analyze is not on this machine"
    text = (ROOT / "deploy" / "coach.service").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coach.service"
        path.write_text(text.replace("/opt/coach/.venv/bin/coach", sys.executable), encoding="utf-8")
        passed, words = run("systemd-analyze", "verify", path)
    return passed and not words, words or "accepted by systemd-analyze verify"


def steps() -> tuple[bool, str]:
    """deploy/build.sh from a copy without this machine's leftovers, then one question to what it made."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "coach"
        passed, words = run("sh", "deploy/build.sh", ROOT, target)
        if not passed:
            return False, words[-2000:]
        built = time.monotonic() - begun
        coach = target / ".venv" / "bin" / "coach"
        passed, words = run(coach, "ask", "they say the price is too high", "--data", Path(folder) / "data")
        locked = run(target / ".venv" / "bin" / "python", "-c", "import psycopg; print(psycopg.__version__)")[1]
    wanted = next(line for line in (ROOT / "requirements-dev.lock").read_text().splitlines() if line.startswith("psycopg==")).partition("==")[2]
    if locked != wanted:
        return False, f"psycopg {locked} was installed, {wanted} is locked"
    return passed, f"built in {built:.0f} s, first answer after {time.monotonic() - begun:.0f} s, psycopg {locked}" if passed else words[-2000:]


if __name__ == "__main__":
    sys.exit(main())
