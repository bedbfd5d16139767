"""`make audit`: the licence of everything that is installed with the product, and known weaknesses where there is a network.

    python .ci/audit.py [--licences]

Fails on licences that would bind whoever ships the product (GPL, AGPL, SSPL, non-commercial, unknown). Weaknesses come
from pip-audit, which asks the package index; without it or without a network they are not checked, and that is said.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python-2\.0|Python Software Foundation|Zlib|Unlicense|HPND|CNRI|MPL|Mozilla Public|OFL|Public Domain|CC0|Matplotlib|Historical Permission)", re.IGNORECASE
)
BINDING = re.compile(r"\b(A?GPL|GNU (Affero )?General Public|SSPL|Server Side Public|non-?commercial|BUSL|Commons Clause|CC-BY-NC)", re.IGNORECASE)
# Weak copyleft, used as an unmodified library that its user can replace; accepted by name.
LIBRARIES = {"python-telegram-bot": "LGPL-3.0", "psycopg": "LGPL-3.0", "psycopg-binary": "LGPL-3.0"}
# What the metadata does not say; looked up in the packages' own licence files.
LOOKED_UP: dict[str, str] = {}


def names() -> list[str]:
    """What ships: the locked dependencies, PyTorch, and the database driver of the image."""
    locked = [line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines() if "==" in line]
    return sorted({*locked, "torch", "psycopg", "psycopg-binary"}, key=str.lower)


def licence_of(found: Distribution) -> str:
    """As the package says it: the SPDX expression, else classifiers, else the first line of the licence field."""
    said = found.metadata.get("License-Expression") or ""
    classified = [line.rpartition(":: ")[2] for line in found.metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    field = (found.metadata.get("License") or "").strip().splitlines()
    return said or ", ".join(item for item in classified if item != "OSI Approved") or (field[0] if field else "") or LOOKED_UP.get(found.metadata["Name"].lower(), "")


def judged(name: str, licence: str) -> str:
    """"" for a licence that we may ship under, else what is wrong with it."""
    if name.lower() in LIBRARIES:
        return "" if re.search(r"LGPL|Lesser", licence) else f"was accepted as {LIBRARIES[name.lower()]}"
    if BINDING.search(re.sub(r"\bLGPL|Lesser General Public", "", licence)) and not re.search(r"\bOR\b", licence):
        return "binds whoever ships it"
    if not licence:
        return "says nothing about its licence"
    return "" if PERMISSIVE.search(licence) else "is not known as permissive"


def licences() -> list[tuple[str, str, str, str]]:
    """(name, version, licence, what is wrong) for everything that ships and is installed here."""
    rows = []
    for name in names():
        try:
            found = distribution(name)
        except ModuleNotFoundError:
            continue
        licence = licence_of(found)
        rows.append((name, found.version, licence, judged(name, licence)))
    return rows


def weaknesses() -> int:
    if importlib.util.find_spec("pip_audit") is None:
        print("\nKnown weaknesses: not checked, pip-audit is not installed (.venv/bin/pip install pip-audit).")
        return 0
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off", "-r", "requirements.lock"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    told = done.stdout + done.stderr
    if re.search(r"ConnectionError|Max retries|Failed to establish|timed out", told):
        print("\nKnown weaknesses: not checked, the package index cannot be asked from here.")
        return 0
    print(f"\nKnown weaknesses (pip-audit):\n{told}")
    return done.returncode


def main() -> int:
    rows = licences()
    print("\n".join(f"{name:<40} {version:<16} {licence[:60]:<60} {wrong}".rstrip() for name, version, licence, wrong in rows))
    wrong = [name for name, _, _, why in rows if why]
    print(f"\n{len(rows)} of {len(names())} locked packages are installed here; {len(wrong)} licences to look at{': ' + ', '.join(wrong) if wrong else ''}")
    return int(bool(wrong)) or (0 if "--licences" in sys.argv else weaknesses())


if __name__ == "__main__":
    sys.exit(main())
