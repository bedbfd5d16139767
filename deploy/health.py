"""Is the coach in this container alive? Exit 0 or 1; standard library only, for the image's HEALTHCHECK."""

from __future__ import annotations

import os
import sys
import urllib.request


def main() -> int:
    where = os.environ.get("COACH_STATUS_LISTEN") or os.environ.get("COACH_LISTEN") or "127.0.0.1:8080"
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{where.rpartition(':')[2]}/healthz", timeout=4) as answer:
            return int(answer.status != 200)
    except OSError as error:
        print(f"not alive: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
