#!/bin/sh
# The steps of the image, as a script: the Dockerfile runs it, and so can you in a clean folder.
#   sh deploy/build.sh SOURCE TARGET      SOURCE = a checkout, TARGET = where the program goes (e.g. /opt/coach)
set -eu
source=$1
target=$2
mkdir -p "$target"
for part in bot knowledge prompts deploy pyproject.toml README.md LICENSE requirements.lock requirements-dev.lock; do
    cp -R "$source/$part" "$target/"
done
cd "$target"
python3 deploy/setup.py
.venv/bin/pip install -q -c requirements-dev.lock "psycopg[binary]"
.venv/bin/python -m compileall -q bot knowledge prompts
.venv/bin/coach --version
