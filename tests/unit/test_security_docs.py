"""The table of docs/security.md has a row for every attack that is tested."""

from pathlib import Path

from tests.integration import test_intercode_mysql, test_intercode_mysql_writes, test_intercode_sandbox
from tests.unit import test_intercode_sqlite

TABLES = [
    ("## SQL on SQLite", [test_intercode_sqlite.ATTACKS]),
    ("## SQL on MySQL", [test_intercode_mysql.ATTACKS, test_intercode_mysql.SILENT]),
    ("## Writes on MySQL", [test_intercode_mysql_writes.COMMITTING]),
    ("## Bash", [test_intercode_sandbox.STOPPED, test_intercode_sandbox.CONTAINED]),
]


def test_every_attack_has_its_row():
    document = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    for heading, attacks in TABLES:
        section = document.split(heading)[1].split("\n## ")[0]
        listed = [
            name.strip()
            for line in section.splitlines()
            if line.startswith("| ")
            for name in line.split("|")[1].split(", ")
        ]
        expected = [name for table in attacks for name in table]
        assert sorted(listed[2:]) == sorted(expected), heading
