#!/usr/bin/env bash
# Write requirements.lock and requirements-dev.lock from a fresh environment (no hosts, no paths; torch comes from deploy/setup.py).
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
python3 -m venv "$folder/v"
pip() { "$folder/v/bin/python" -m pip --disable-pip-version-check "$@"; }
pip install -q "setuptools>=77" wheel
pip install -q "torch==2.13.0"
printf 'torch==2.13.0\n' > "$folder/c"
if [ "${1:-}" != "--upgrade" ]; then  # keep what is locked already
  cat requirements*.lock >> "$folder/c"
fi
pip install -q -c "$folder/c" .
write() { pip freeze --exclude key-account-coach --exclude torch | grep -v ' @ ' | sort -f > "$1"; }
write requirements.lock
pip install -q -c "$folder/c" ".[dev]"
write "$folder/all"
comm -13 <(sort requirements.lock) <(sort "$folder/all") > requirements-dev.lock
wc -l requirements*.lock
