"""Make the golden images again: tests/golden/make.py [NAME ...]   (needs root and $VIRTKIT_ORACLE, see oracle.sh).

Each becomes tests/data/golden/NAME/FILE.xz; what a guest sees in it, once a content, tests/data/golden/content/.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from golden.content import disk  # noqa: E402  found through the line above
from golden.recipes import RECIPES, SECRET, Recipe  # noqa: E402

GOLDEN = HERE.parent / "data" / "golden"
ROOTS = {"qemu10": "trixie", "virtualbox": "sid"}


def main(names: list[str]) -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    index = GOLDEN / "index.json"
    known = json.loads(index.read_text()) if index.exists() else {}
    for recipe in RECIPES:
        if not names or recipe.name in names:
            known[recipe.name] = make(recipe)
            sys.stdout.write(f"{recipe.name}: {known[recipe.name]['bytes']} bytes\n")
            index.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


def make(recipe: Recipe) -> dict[str, object]:
    root = os.path.join(os.environ["VIRTKIT_ORACLE"], ROOTS[recipe.tool]) if recipe.tool in ROOTS else ""
    with tempfile.TemporaryDirectory(dir=f"{root}/work" if root else None) as place:
        folder = Path(place)
        (folder / "disk.raw").write_bytes(disk())
        (folder / "key").write_text(SECRET)
        for command in (*recipe.commands, recipe.read):
            _run(command, folder, root)
        target = GOLDEN / recipe.name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        size = sum(_pack(folder / name, target / f"{name}.xz") for name in recipe.files)
        return {
            "format": recipe.format,
            "feature": recipe.feature,
            "made by": _version(recipe.tool, root),
            "files": list(recipe.files),
            "times": {name: int((folder / name).stat().st_mtime) for name in recipe.files},
            "secret": SECRET if recipe.secret else None,
            "content": _keep((folder / "seen.raw").read_bytes()),
            "bytes": size,
        }


def _run(command: str, folder: Path, root: str) -> str:
    if root:
        inside = "/" + str(folder.relative_to(root))
        words = ["chroot", root, "sh", "-ec", f"cd {inside}; export HOME=/root; {command}"]
    else:
        words = ["sh", "-ec", f"cd {folder}; {command.replace('{here}', str(HERE))}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr or done.stdout}")
    return done.stdout.strip()


def _pack(path: Path, target: Path) -> int:
    packed = lzma.compress(path.read_bytes(), preset=9)
    target.write_bytes(packed)
    return len(packed)


def _keep(seen: bytes) -> str:
    name = hashlib.sha256(seen).hexdigest()[:16]
    path = GOLDEN / "content" / f"{name}.xz"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.write_bytes(lzma.compress(seen, preset=9))
    return name


def _version(tool: str, root: str) -> str:
    commands = {
        "virtualbox": "echo VirtualBox $(/usr/lib/virtualbox/VBoxManage --version | tail -n 1)",
        "uml": "dpkg-query -W uml-utilities; $VIRTKIT_ORACLE/uml/usr/bin/linux.uml --version 2>/dev/null | tail -n 1",
    }
    place = Path(f"{root}/work") if root else Path("/tmp")
    return _run(commands.get(tool, "qemu-img --version | head -n 1"), place, root)


if __name__ == "__main__":
    main(sys.argv[1:])
