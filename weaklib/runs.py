"""Runs: train once, keep what came out, find it again by what went in.

A run is a frozen config. Its key is the full config (never a difference from defaults), the identity of the corpora
and the method's revision, an integer that is raised by hand when behaviour changes. Its record holds the key, the
score of every test item, the training history and the provenance; it is a JSON file with its own checksum. Weights
lie beside the local record, outside git. A run has one thread, so that its numbers do not depend on the number of
cores, and so that runs side by side do not wait for each other's threads.

Contents
--------
Config
    What every paper's config has.
Record
    What came out of a run.
get, find, kept, undamaged, shipped
    The record of a config: trained now if need be, or only looked up; all that this machine has of a paper, or that
    there are among some files; that of the checkpoint which comes with the package.
interrupted, forget
    How far a run without a record came; delete what there is of a run.
parcel, receive
    A record with its weights, on its way from one machine's store to another's.
weights_of, trained
    The weights of a config; those of a record, or those that come with the package.
publish
    Copy local records into the committed results.
Paired, paired
    Two rows, compared on the same test items.
"""
from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from typing import ClassVar, NamedTuple

from weaklib import __version__, files, keys, presets, weights
from weaklib.files import WeaklibError

SCHEMA = 1
RECORD, WEIGHTS = "record.json", "model.safetensors"

#: Of every process that trains, the same everywhere, so that the same seed gives the same numbers.
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it cuBLAS may add up in another order each time
    "OMP_WAIT_POLICY": "PASSIVE",          # see weaklib/__init__.py
    # glibc gives large buffers back to the system at every step of the training and asks for them again, 10 000 page
    # faults a step on a CPU; with these it keeps them.
    "MALLOC_TOP_PAD_": str(2**28),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
}


@dataclass(frozen=True)
class Config:
    """Base of the papers' configs: every field is part of the key."""

    paper: ClassVar[str]
    revision: ClassVar[int]

    label: str = keys.keyed("", unkeyed=True)  # a readable name; the one field that is not part of the key
    seed: int = 0

    def __post_init__(self):
        keys.check(self)

    def corpora(self) -> list[dict]:
        """Identities of the corpora that the run depends on."""
        raise NotImplementedError

    def needs(self) -> list[Config]:
        """Runs whose weights this one starts from; they are trained before it."""
        return []

    def key(self) -> dict:
        """All that the result depends on, as JSON values; see `weaklib.keys` for how it stays what it is."""
        return json.loads(json.dumps(self._key()))

    def _key(self) -> dict:
        return {"paper": self.paper, "revision": self.revision, "config": self._encoded, "corpora": self.corpora()}

    @cached_property
    def _encoded(self) -> dict:
        """The fields, which never change; a corpus may, where it is a folder."""
        return keys.encode(self)

    @property
    def id(self) -> str:
        """``<label>-s<seed>-<hash>``; the hash alone decides."""
        return f"{self.label}-s{self.seed}-{self.digest}"

    @property
    def digest(self) -> str:
        """The hash of `id`: of two configs with the same one, whatever their labels, one is run."""
        return _digest(self._key())[:10]


@dataclass(frozen=True)
class Record:
    """What came out of a run.

    Attributes
    ----------
    id : str
    key : dict
    scores : dict of str to list of float
        Metric -> one value per test item, in the metric's unit.
    history : list of dict
        As `weaklib.training.fit` returns it.
    provenance : dict
        With ``starts``, the checksums of the weights that it began with; older records lack it.
    weights : dict or None
        sha256 and number of parameters of the weights.
    folder : Path
        Where it was read from.
    """

    id: str
    key: dict
    scores: dict
    history: list
    provenance: dict
    weights: dict | None
    folder: Path

    def mean(self, metric: str) -> float:
        """Mean of a metric over the test items."""
        values = self.scores[metric]
        return sum(values) / len(values)

    @property
    def weights_path(self) -> Path | None:
        """File of the trained weights, or None if they are not on this machine."""
        path = self.folder / WEIGHTS
        return path if path.exists() else None

    def content(self) -> dict:
        """The record as JSON values, with a checksum over all of them."""
        body = {"schema": SCHEMA, "id": self.id, "key": self.key, "scores": self.scores, "history": self.history,
                "provenance": self.provenance, "weights": self.weights}
        return {**body, "sha256": _digest(body)}


def _digest(obj) -> str:
    return hashlib.sha256(json.dumps(obj, sort_keys=True).encode()).hexdigest()


def read(path) -> Record:
    """Read a record and check it against its checksum.

    Raises
    ------
    WeaklibError
        If the file is missing, damaged or edited.
    """
    path = Path(path)
    try:
        about = path.stat()
    except OSError:
        about = None
    return _read(path, about and (about.st_mtime_ns, about.st_size))


@lru_cache(maxsize=4096)
def _read(path: Path, version) -> Record:
    """Read a record once, until the file changes: a table, a ledger and a figure all ask for the same ones."""
    body = files.read_json(path)
    if not isinstance(body, dict) or body.pop("sha256", None) != _digest(body) or body.pop("schema") != SCHEMA:
        raise WeaklibError(f"Record {path} is damaged, edited or of another version; nothing was changed: delete it "
                           "to run it again.")
    return Record(**body, folder=path.parent)


def local() -> Path:
    """Folder of the runs made on this machine."""
    return files.home() / "runs"


def committed(preset: str, paper: str) -> Path:
    """Folder of the records that come with the source."""
    return files.results() / preset / paper / "runs"


def find(config: Config, preset: str, records: str) -> Record | None:
    """Look a record up, without training.

    Parameters
    ----------
    config : Config
    preset : str
        Under which the committed record was published.
    records : {"local", "committed"}

    Raises
    ------
    WeaklibError
        If `records` is neither, or the record is damaged.
    """
    if records not in ("local", "committed"):
        raise WeaklibError(f"Unknown records {records!r}; choose local or committed.")
    if records == "committed":
        folder = committed(preset, config.paper)
        named = folder / f"{config.id}.json"  # to look for another label takes a look at every file
        found = [named] if named.exists() else sorted(folder.glob(f"*-{config.digest}.json"))
    else:
        found = [path for folder in _folders(config) if (path := folder / RECORD).exists()]
    return read(found[0]) if found else None


def shipped(paper: str) -> Record | None:
    """The committed record of the checkpoint that comes with the package; None if there is none."""
    name = weights.about(weights.shipped(paper))["id"]
    return next(iter(undamaged(files.results().glob(f"*/{paper}/runs/{name}.json"))), None)


def look(config: Config, preset: str, records: str) -> Record | None:
    """Look a record up as `find` does; one that is damaged counts as none, for the run itself will say so."""
    with suppress(WeaklibError):
        return find(config, preset, records)
    return None


def kept(paper: str) -> list[Record]:
    """Return the records of a paper that were made on this machine and are not damaged, by name."""
    return undamaged(local().glob(f"{paper}-*/{RECORD}"))


def undamaged(paths: Iterable[Path]) -> list[Record]:
    """Read those of several records that are not damaged, by name; whoever needs one of the others will say so."""
    found = []
    for path in sorted(paths):
        with suppress(WeaklibError):
            found.append(read(path))
    return found


def get(config: Config, train, *, fresh: bool = False) -> Record:
    """Return the local record of a config, training it now if there is none.

    Parameters
    ----------
    config : Config
    train : callable
        ``train(config, folder)`` -> (scores, history, model or None), see `Record`. It finds its own checkpoint in
        `folder` if it was interrupted there.
    fresh : bool
        Forget the record and the checkpoint, and train again.
    """
    if fresh:
        forget(config)
    found = find(config, "", "local")
    if found:
        return found
    with _lock(config):
        found = find(config, "", "local")  # another process may have trained it while this one waited
        if found:
            return found
        if changed := explain(config):
            print(f"{config.id}: {changed}")
        folder = next(iter(_folders(config)), _folder(config))  # one that was interrupted may have another label
        folder.mkdir(parents=True, exist_ok=True)
        started, began = time.time(), time.monotonic() - (interrupted(config) or {}).get("seconds", 0.0)
        with _one_thread():
            scores, history, model = train(config, folder)
            made = provenance(started, time.monotonic() - began) | {"starts": _starts(config)}
        about = None
        if model is not None:
            tensors = model.state_dict()
            sha = weights.save(folder / WEIGHTS, tensors, {"id": config.id, "key": config.key()})
            about = {"sha256": sha, "parameters": sum(t.numel() for t in tensors.values())}
        record = Record(config.id, config.key(), scores, history, made, about, folder)
        files.write_json(folder / RECORD, record.content())
        for spent in folder.glob("checkpoint*"):
            spent.unlink()
    return record


def _starts(config: Config) -> dict[str, str]:
    """Which weights of the models that a run needs are on this machine: id -> their checksum.

    Two trainings of one config on two machines are two models; only runs that go on from the same may be compared.
    """
    found = (find(needed, "", "local") for needed in config.needs())
    return {record.id: record.weights["sha256"] for record in found if record and record.weights}


def _folder(config: Config) -> Path:
    return local() / f"{config.paper}-{config.id}"


def _folders(config: Config) -> list[Path]:
    """Where there is something of a run on this machine, under whatever label."""
    return sorted(local().glob(f"{config.paper}-*-{config.digest}"))


def _lock(config: Config):
    return files.lock(local() / f"{config.paper}-{config.digest}.lock")


@contextmanager
def _one_thread():
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def interrupted(config: Config) -> dict | None:
    """What the checkpoint of a run that has no record yet says of itself, its ``step`` and ``seconds`` for instance."""
    found = [path for folder in _folders(config) for path in folder.rglob("checkpoint*.safetensors")]
    newest = max(found, key=os.path.getmtime, default=None)
    return weights.about(newest) if newest else None


def forget(config: Config) -> None:
    """Delete the local record of a run, its weights and its checkpoint."""
    with _lock(config):
        for folder in _folders(config):
            shutil.rmtree(folder)


def parcel(record: Record) -> dict:
    """Return a local record and the bytes of its weights, for another machine's `receive`."""
    path = record.weights_path
    return {"record": record.content(), "weights": path.read_bytes() if path else None}


def receive(sent: dict, config: Config) -> Record:
    """Put what `parcel` made into the local store, unless it is there, and return the record.

    Raises
    ------
    WeaklibError
        If it is not the record of `config`: the other machine has another version of weaklib.
    """
    with _lock(config):
        found = find(config, "", "local")
        if found:
            return found
        folder = _folder(config)
        body = {name: value for name, value in sent["record"].items() if name not in ("schema", "sha256")}
        record = Record(**body, folder=folder)
        if record.key != config.key():
            raise WeaklibError(f"The record of {config.id} came from another version of weaklib; install the same one "
                               "everywhere.")
        if sent["weights"] is not None:
            files.write_bytes(folder / WEIGHTS, sent["weights"])
        files.write_json(folder / RECORD, record.content())
    return record


def explain(config: Config) -> str:
    """Say which fields differ from the nearest record of the name; nothing if there is none."""
    near = sorted(local().glob(f"{config.paper}-{config.label}-s{config.seed}-*/{RECORD}"), key=os.path.getmtime)
    found = undamaged(near[-1:])
    if not found:
        return ""
    old, new = _flat(found[0].key), _flat(config.key())
    changed = [f"{name} {old.get(name)} -> {new.get(name)}" for name in sorted(old.keys() | new.keys())
               if old.get(name) != new.get(name)]
    return f"changed since the last record ({', '.join(changed)}), training"


def _flat(obj, prefix: str = "") -> dict:
    if isinstance(obj, dict):
        return {k: v for name, x in obj.items() for k, v in _flat(x, f"{prefix}{name}.").items()}
    if isinstance(obj, list):
        return {k: v for i, x in enumerate(obj) for k, v in _flat(x, f"{prefix}{i}.").items()}
    return {prefix[:-1]: obj}


def publish(record: Record, preset: str) -> Path:
    """Copy a record into the committed results of a preset."""
    if preset not in presets.PUBLISHED:
        raise WeaklibError(f"Records of the {preset} preset test the code and are never published.")
    path = committed(preset, record.key["paper"]) / f"{record.id}.json"
    files.write_json(path, record.content())
    return path


def weights_of(config: Config) -> dict:
    """Return the trained weights of a config, which another one starts from.

    Raises
    ------
    WeaklibError
        If it has not been trained on this machine.
    """
    record = find(config, "", "local")
    if record is None or record.weights_path is None:
        raise WeaklibError(f"The weights of {config.id} are not on this machine; train it first, with --fresh if there "
                           "is a record of it.")
    return weights.load(record.weights_path)[0]


def trained(record: Record | None, name: str) -> tuple[dict, dict]:
    """Weights, in single precision, and config of a record, or else of the checkpoint `name` of the package.

    Raises
    ------
    WeaklibError
        If the weights are not on this machine.
    """
    tensors, about = weights.load((record and record.weights_path) or weights.shipped(name))
    if record and about["key"] != record.key:  # of one record, the shipped weights are its own
        raise WeaklibError(f"The weights of {record.id} are not on this machine; train it here, or leave the record "
                           "out for what comes with the package.")
    return {key: t.float() for key, t in tensors.items()}, about["key"]["config"]


def provenance(started: float, seconds: float) -> dict:
    """Describe how a run was made: time, commit, machine, versions. No names of people, machines or folders.

    Parameters
    ----------
    started : float, s
        By the clock on the wall, since 1970.
    seconds : float, s
        That the run took, over all its starts.
    """
    import torch
    cuda = torch.cuda.is_available()
    lock = files.checkout() and files.checkout() / "requirements.lock"
    return {
        "weaklib": __version__, "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", "weaklib")),
        "lock_sha256": files.sha256(lock) if lock and lock.exists() else None,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(seconds, 1),
        "device": torch.cuda.get_device_name() if cuda else _cpu(), "gpu": cuda, "threads": torch.get_num_threads(),
        "peak_memory_mb": _peak_memory(),
        "platform": f"{platform.system()} {platform.machine()}", "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "numpy")},
    }


def _git(*args) -> str | None:
    root = files.checkout()
    try:
        out = root and subprocess.run(["git", "-C", root, *args], capture_output=True, text=True, encoding="utf-8")
    except OSError:  # there is no git
        return None
    return out.stdout.strip() if out and out.returncode == 0 else None


def _peak_memory() -> int | None:
    try:
        import resource
    except ModuleNotFoundError:  # on Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 2 ** 20


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


class Paired(NamedTuple):
    """A mean difference over test items, the 95 % interval that Student's t gives it, and how many items there are."""

    mean: float
    low: float
    high: float
    n: int


def paired(a: list[Record], b: list[Record], score: str, *, block: int = 1) -> Paired:
    """Compare two rows on the same test items, ``a - b``: items differ more than models do, and cancel.

    The interval is for the models as they were trained; other random seeds would add to it.

    Parameters
    ----------
    a, b : list of Record
        The seeds of each row, of which the mean is taken item by item.
    score : str
        Key of `Record.scores`, such as ``si_sdr/avg``.
    block : int
        How many neighbouring values are of one item, such as the sources of one mixture.

    Raises
    ------
    WeaklibError
        If one of the records lacks the score, or they have been scored on different numbers of items, or on one.
    """
    import numpy as np
    from scipy.stats import ttest_1samp
    lists = [[record.scores.get(score, []) for record in rows] for rows in (a, b)]
    lengths = {len(values) for rows in lists for values in rows}
    n = lengths.pop() // block if len(lengths) == 1 else 0
    if n < 2 or not a or not b:
        raise WeaklibError(f"The score {score!r} cannot be compared: not all of the records have it for the same "
                           "items, of which it takes two or more.")
    each = [np.mean(rows, 0).reshape(n, block).mean(1) for rows in lists]
    gain = each[0] - each[1]
    low, high = ttest_1samp(gain, 0).confidence_interval(0.95)
    return Paired(float(gain.mean()), float(low), float(high), n)
