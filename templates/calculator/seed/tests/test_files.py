"""Every Python file of the project can be read by Python."""

import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Files(unittest.TestCase):
    def test_every_file_compiles(self):
        for folder in ("calculator", "tests"):
            for file in sorted((ROOT / folder).glob("*.py")):
                with self.subTest(file.name):
                    compile(file.read_text(encoding="utf-8"), str(file), "exec")


if __name__ == "__main__":
    unittest.main()
