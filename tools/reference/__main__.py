"""Write the generated pages: `python -m tools.reference`."""

import asyncio
import tempfile
from pathlib import Path

from collector.base import resources
from collector.db import embedded, migrations
from collector.db.pool import connect
from tools.reference import DOCS, pages


async def main() -> None:
    """Migrate a private database and write each page that differs from its file."""
    with tempfile.TemporaryDirectory() as home:
        async with embedded.running(Path(home)) as address, connect(address) as connection:
            await migrations.migrate(connection, address, resources.path("migrations"))
            made = await pages(connection)
    for path, text in made.items():
        file = DOCS / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(f"docs: wrote docs/{path}")


if __name__ == "__main__":
    asyncio.run(main())
