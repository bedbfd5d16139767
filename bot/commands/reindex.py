"""`coach reindex`: rebuild the search views from the shelf."""

from __future__ import annotations

import argparse
import shutil

from bot.commands import ProgressLine, settings_of


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shared", action="store_true", help="train the bundled models once for every data directory (set-up)")


async def run(options: argparse.Namespace) -> int:
    from bot.app import open_app

    settings = settings_of(options)
    shutil.rmtree(settings.data_dir / "views", ignore_errors=True)
    async with open_app(settings, progress=ProgressLine(), model=False, purpose="coach reindex") as app:
        from knowledge.views import Views, share

        assert isinstance(app.retriever, Views)
        if options.shared:
            await share(app.retriever, app.shelf)
        await app.retriever.settle()  # large collections: until the index is built
        print(f"playbook version {app.retriever.version}: {len(app.retriever.cards())} cards ready")
    return 0
