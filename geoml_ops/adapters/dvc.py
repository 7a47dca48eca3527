"""The store: a Git repository whose ``data`` folder DVC versions and pushes to a remote."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# DVC reads its switches when it is imported; its analytics would be a forked process of their own.
os.environ["DVC_NO_ANALYTICS"] = "1"

import yaml
from dulwich import porcelain
from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo as Git
from dvc.repo import Repo as Dvc

from geoml_ops.core.errors import NotFound, Refused
from geoml_ops.platform.files import whole_file
from geoml_ops.platform.locks import only_one
from geoml_ops.platform.log import quiet

DATA, POINTER = "data", "data.dvc"
# DVC writes advice to standard output, which belongs to nouns.
quiet("dvc")
_AUTHOR = b"geoml-ops <store@localhost>"
_COMMITTED = (POINTER, ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore")


class Store:
    """One store on this machine; every writer holds its lock.

    Attributes:
        root: the repository.
        data: the folder that a version pins.
    """

    def __init__(self, root: Path, remote: str) -> None:
        """Names a store; nothing is touched before the lock is held.

        Args:
            root: where the repository is, or will be made.
            remote: folder or URL that DVC pushes to.
        """
        self.root = root.resolve()
        self.data = self.root / DATA
        self.remote = str(Path(remote).resolve()) if "://" not in remote else remote

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the store alone; DVC's own lock gives up after three seconds."""
        self.root.mkdir(parents=True, exist_ok=True)
        with only_one(self.root / ".lock"):
            self._open()
            yield

    def save(self, message: str, when: int) -> tuple[str, str]:
        """Pins ``data`` as it lies there; returns the commit and the hash of the data.

        Saving the same content again finds the commit by its tag. The tag is set last, after every
        object was found in the remote: a tagged state is a complete one. Call it under :meth:`lock`.

        Args:
            message: of the commit.
            when: seconds since 1970 that date the commit; part of its identity, so no clock is read.

        Returns:
            The commit (40 hex digits) and the hash of the data (32 hex digits and ``.dir``).

        Raises:
            Refused: an object did not reach the remote as it is here.
        """
        with self._dvc() as repo:
            repo.add(str(self.data))
            repo.push()
            pinned = self._pinned((self.root / POINTER).read_bytes())
            self._complete(repo, pinned)
        tag = Ref(f"refs/tags/data-{pinned[:12]}".encode())
        with Git(str(self.root)) as git:
            if tag in git.refs:
                return git.refs[tag].decode(), pinned
            head = self._head(git)
            if head is None or self._blob(git, head, POINTER) != (self.root / POINTER).read_bytes():
                porcelain.add(git, [str(self.root / name) for name in _COMMITTED if (self.root / name).exists()])
                head = ObjectID(
                    porcelain.commit(
                        git,
                        message=message.encode(),
                        author=_AUTHOR,
                        committer=_AUTHOR,
                        author_timestamp=when,
                        commit_timestamp=when,
                        author_timezone=0,
                        commit_timezone=0,
                        no_verify=True,
                        sign=False,
                    )
                )
            git.refs[tag] = head
            return head.decode(), pinned

    def manifest(self, rev: str) -> dict[str, str]:
        """Returns the MD5 of every file of a version by its path below ``data``.

        Raises:
            NotFound: there is no such commit here, or it pins no data.
        """
        with Git(str(self.root)) as git:
            if ObjectID(rev.encode()) not in git.object_store:
                raise NotFound(f"The store has no version {rev}.", "fetch the store's repository")
            pointer = self._blob(git, ObjectID(rev.encode()), POINTER)
        if pointer is None:
            raise NotFound(f"Commit {rev} of the store pins no data.")
        listing = json.loads(self._object(self._pinned(pointer)).read_bytes())
        return {entry["relpath"]: entry["md5"] for entry in listing}

    def at(self, rev: str, path: str) -> Path:
        """Returns a file of a version, to read only; its bytes were just hashed.

        The file lies in DVC's cache, so no checkout and no lock is needed; what the cache lost or holds
        altered is brought back from the remote.

        Args:
            rev: the version's commit.
            path: below ``data``, or with ``data/`` before it.

        Raises:
            NotFound: the version has no such file.
            Refused: neither cache nor remote holds the file as it was pinned.
        """
        entries = self.manifest(rev)
        name = path.removeprefix(f"{DATA}/")
        if name not in entries:
            raise NotFound(f"Version {rev[:12]} has no file {path!r}.", f"it holds {', '.join(sorted(entries)[:20])}")
        return self._object(entries[name])

    def _open(self) -> None:
        """Makes what is missing of the repository."""
        git, dvc = self.root / ".git", self.root / ".dvc"
        if not git.exists() or not dvc.exists():
            # Made aside and renamed, Git last: a maker that is killed leaves no half of a repository.
            with tempfile.TemporaryDirectory(prefix=".making-", suffix=".part", dir=self.root) as folder:
                porcelain.init(folder)
                Dvc.init(folder).close()
                if not git.exists():
                    shutil.rmtree(dvc, ignore_errors=True)
                if not dvc.exists():
                    Path(folder, ".dvcignore").replace(self.root / ".dvcignore")
                    Path(folder, ".dvc").rename(dvc)
                if not git.exists():
                    Path(folder, ".git").rename(git)
        # Git's own locks outlive a killed writer; whoever is here holds the store alone.
        for left in (git / "index.lock", git / "HEAD.lock", *(git / "refs").rglob("*.lock")):
            left.unlink(missing_ok=True)
        wanted = {
            ".git/info/exclude": "/.lock\n/.making-*\n",
            ".dvc/config": "[core]\n    analytics = false\n    check_update = false\n    autostage = false\n",
            # Addresses belong to a machine, not to the history.
            ".dvc/config.local": f"[core]\n    remote = store\n    site_cache_dir = {self.root}/.dvc/tmp/site\n"
            f"['remote \"store\"']\n    url = {self.remote}\n",
        }
        for name, text in wanted.items():
            path = self.root / name
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                with whole_file(path) as part:
                    part.write_text(text, encoding="utf-8")
        self.data.mkdir(exist_ok=True)

    @contextmanager
    def _dvc(self) -> Iterator[Any]:
        repo = Dvc(str(self.root))
        try:
            yield repo
        finally:
            repo.close()

    @staticmethod
    def _pinned(pointer: bytes) -> str:
        return str(yaml.safe_load(pointer)["outs"][0]["md5"])

    @staticmethod
    def _head(git: Git) -> ObjectID | None:
        try:
            return git.head()
        except KeyError:
            return None

    @staticmethod
    def _blob(git: Git, rev: ObjectID, name: str) -> bytes | None:
        commit = git[rev]
        tree = git[commit.tree] if isinstance(commit, Commit) else None
        if not isinstance(tree, Tree) or name.encode() not in tree:
            return None
        blob = git[tree[name.encode()][1]]
        return blob.data if isinstance(blob, Blob) else None

    def _cached(self, md5: str) -> Path:
        return self.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]

    def _object(self, md5: str) -> Path:
        path = self._cached(md5)
        if not _holds(path, md5):
            self._bring_back(path, md5)
        return path

    def _bring_back(self, path: Path, md5: str) -> None:
        with self._dvc() as repo:
            remote = repo.cloud.get_remote_odb()
            there = remote.oid_to_path(md5)
            if remote.fs.exists(there):
                with tempfile.TemporaryDirectory(dir=self.root / ".dvc" / "tmp") as folder:
                    fetched = Path(folder) / md5
                    remote.fs.get_file(there, str(fetched))
                    if _holds(fetched, md5):
                        with whole_file(path) as part:
                            fetched.replace(part)
        if not _holds(path, md5):
            raise Refused(
                f"Object {md5} is in neither the store's cache nor its remote as it was pinned.",
                "restore the remote from a backup",
            )

    def _complete(self, repo: Any, pinned: str) -> None:
        """Makes sure that every object of a version is in the remote, and sends what is not.

        DVC 3.67 takes a folder's listing in the remote as proof that its files are there; a push that was
        killed leaves the listing without them, and every later push sends nothing.
        """
        remote = repo.cloud.get_remote_odb()
        listing = json.loads(self._object(pinned).read_bytes())
        for oid in [*sorted({entry["md5"] for entry in listing}), pinned]:
            there = remote.oid_to_path(oid)
            if _reached(remote.fs, there, oid):
                continue
            if remote.fs.protocol == "local":
                with whole_file(Path(there)) as part:
                    shutil.copyfile(self._object(oid), part)
            else:
                remote.fs.put_file(str(self._object(oid)), there)
            if not _reached(remote.fs, there, oid):
                raise Refused(f"Object {oid} did not reach {self.remote} as it is in the store.", "check the remote")


def _reached(fs: Any, there: str, oid: str) -> bool:
    """What lies on this machine can be read back; elsewhere its presence has to do."""
    return _holds(Path(there), oid) if fs.protocol == "local" else bool(fs.exists(there))


def _holds(path: Path, md5: str) -> bool:
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except FileNotFoundError:
        return False
    return found == md5.removesuffix(".dir")
