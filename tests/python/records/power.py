"""Power cuts: what was written and not synced is gone. power.c keeps what was synced beside the
folder of a process; a cut makes that the folder. What was not synced may reach a disk all the same,
in any order and by the sector: a cut brings some of it, by chance."""

import os
import pathlib
import shutil
import subprocess
import tempfile

SOURCE = pathlib.Path(__file__).with_name("power.c")
SECTOR = 512
# A sync takes so long at least, in microseconds, as on a cheap disk.
SYNC_US = 3000
BUILT = []


def library():
    """The compiled shim, once a process; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if not BUILT and compiler:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="power-"))
        # Another user's server loads it too.
        folder.chmod(0o755)
        built = folder / "power.so"
        subprocess.run([compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                        "-o", built, SOURCE, "-ldl"], check=True)
        BUILT.append(built)
    return BUILT[0] if BUILT else None


class Disk:
    """What would be left of a folder. Made when everything in the folder counts as synced."""

    def __init__(self, folder, image):
        self.folder, self.image = pathlib.Path(folder), pathlib.Path(image)
        self.lie = self.image.with_name(self.image.name + ".lie")
        self.cuts = self.dropped_files = self.dropped_bytes = self.leaked_bytes = 0
        shutil.rmtree(self.image, ignore_errors=True)
        copy(self.folder, self.image)

    def environment(self):
        return {"LD_PRELOAD": str(library()), "POWER_FOLDER": str(self.folder),
                "POWER_DISK": str(self.image), "POWER_LIE": str(self.lie),
                "POWER_DELAY": str(SYNC_US)}

    def cut(self, chance):
        """The process is dead: makes the folder what the disk has. Bytes that were dropped."""
        self.cuts += 1
        leak = chance.choice([0, 0, 0.1, 0.5, 0.95])
        dropped = 0
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and not ignored(path):
                dropped += self._drop(path, leak, chance)
        self.dropped_bytes += dropped
        # The folder itself stays: a disk may be mounted there.
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for path in self.image.iterdir():
            copy(path, self.folder / path.name)
        return dropped

    def _drop(self, path, leak, chance):
        """Counts what of a file is not on the disk, after some of it got there by chance."""
        there = self.image / path.relative_to(self.folder)
        mine = path.read_bytes()
        had = there.read_bytes() if there.exists() else b""
        if mine == had:
            return 0
        dropped, leaks = 0, []
        for at in range(0, max(len(mine), len(had)), SECTOR):
            piece = mine[at:at + SECTOR]
            if piece != had[at:at + SECTOR]:
                if piece and chance.random() < leak:
                    leaks.append((at, piece))
                else:
                    dropped += len(piece)
        if leaks and there.parent.exists():
            with open(os.open(there, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                for at, piece in leaks:
                    file.seek(at)
                    file.write(piece)
                    self.leaked_bytes += len(piece)
            owner = path.stat()
            os.chown(there, owner.st_uid, owner.st_gid)
        self.dropped_files += 1
        return dropped

    def told(self):
        return {"cuts": self.cuts, "dropped_files": self.dropped_files,
                "dropped_bytes": self.dropped_bytes, "leaked_bytes": self.leaked_bytes}


def ignored(path):
    return path.name.endswith("-shm") or path.name == "ballast"


def copy(source, target):
    """With owners and links, as it is."""
    subprocess.run(["cp", "-a", "--", source, target], check=True)
