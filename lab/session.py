"""A whole recording, from a bare machine to a Parquet file with its data card."""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab import catalogue, machine, recorder
from lab.datacard import RecordingConditions, RecordingFacts, gaps_s, write_card
from lab.deploy import MOST_PARALLEL, Lab, RunningDeployment
from lab.draws import draws_table
from lab.host import BusyNeighbour
from lab.images import ImageSource, check_source, provide_images
from lab.matrix import Deployment
from lab.parts import Parts
from lab.plan import RecordingPlan, draw
from lab.runtime import Runtime
from lab.sites import DEFAULT_SITE, SITES, Site, find_site
from podlab.data.draws import ROLES, draws_file
from podlab.data.recordings import read_recording, write_recording
from podlab.errors import InputError, PodlabError
from podlab.files import atomic_file, sha256_of
from podlab.progress import Progress, stop_on_sigterm

#: A slow service is ready after half a minute, and its load may be drawn to begin 25 s later.
MIN_SECONDS = 60
#: The lock and the services' files while a lab runs; only root writes there.
RUN_FOLDER = Path("/run/podlab-lab")


def _say_nothing(_: str) -> None:
    """Whoever does not ask is told nothing."""


@dataclass(frozen=True)
class Summary:
    """What one recording came to.

    Attributes
    ----------
    recording, card : Path
        The files that were written.
    role : {"known", "unknown", "faults", "normal"}
        What its deployments were recorded for.
    services, deployments, dropped, not_started, rows, size_bytes : int
        Counts; ``dropped`` died, and for ``not_started`` there was no time.
    gap_p50_s, gap_p99_s, gap_max_s : float
        Between samples of one container.
    """

    recording: Path
    card: Path
    role: str
    services: int
    deployments: int
    dropped: int
    not_started: int
    rows: int
    size_bytes: int
    gap_p50_s: float
    gap_p99_s: float
    gap_max_s: float


def record_lab(
    out: Path,
    *,
    plan: RecordingPlan,
    services: Sequence[str] | None = None,
    extra_catalogue: Path | None = None,
    parallel: int | None = None,
    budget_s: float | None = None,
    engine: str = "podman",
    images: str = "debian",
    note: str = "",
    say: Callable[[str], None] = _say_nothing,
    progress: Progress | None = None,
) -> list[Summary]:
    """Draw a matrix, record it and write each role's recording with its data card.

    The same call continues a recording that was stopped or killed.

    Parameters
    ----------
    out : Path
        The Parquet file to make; its data card stands beside it with the suffix ``.md``, and what was drawn for
        each deployment in ``NAME-draws.csv``. Unknown services, deployments with faults and those with normal events
        go to ``NAME-unknown.parquet``, ``NAME-faults.parquet`` and ``NAME-normal.parquet``.
    plan : RecordingPlan
        What to record.
    services : sequence of str, optional
        Names from the catalogue; by default all that are not kept unknown, and those too if the plan asks for them.
    extra_catalogue : Path, optional
        A folder of the user's own service files.
    parallel : int, optional
        How many deployments run at once; as many as the plan's site says by default.
    budget_s : float, optional
        No deployment is started that could not end within so many seconds; what is finished is joined then, and the
        rest is left out.
    engine : {"podman", "docker"}
        The container engine.
    images : {"debian", "registry"}
        ``debian`` makes images from Debian packages, ``registry`` pulls official ones.
    note : str
        What only the user knows, such as what else ran on the machine; a known fault on the data card.
    say : callable
        Told what is going on, one line each.
    progress : Progress, optional
        Told after each deployment: how many are settled, of how many, and the time left.

    Returns
    -------
    list of Summary
        One for each recording that was written.

    Raises
    ------
    InputError
        If a recording exists, an argument is wrong, or the machine lacks something; the error says what.
    PodlabError
        If the engine fails or nothing could be recorded.
    """
    begin_s = time.monotonic()
    source = check_source(images)
    # Refuses an unknown engine before anything is written.
    Runtime(engine)
    if out.suffix != ".parquet":
        raise InputError("is not named .parquet", where=str(out))
    site = find_site(plan.site)
    parallel = site.at_once if parallel is None else parallel
    if not 1 <= parallel <= MOST_PARALLEL:
        raise InputError(f"parallel is {parallel}, not 1 to {MOST_PARALLEL}")
    if min(plan.seconds, plan.long_seconds) < MIN_SECONDS:
        raise InputError(
            f"seconds is {min(plan.seconds, plan.long_seconds)}, at least {MIN_SECONDS} are needed",
            hint="load begins only after start-up",
        )
    chosen = _choose(catalogue.load_all(extra_catalogue), services, plan)
    matrix = draw(chosen, plan)
    outs = {role: role_file(out, role) for role in ROLES if any(deployment.role == role for deployment in matrix)}
    parts = Parts(out, matrix)
    for path in (*outs.values(), draws_file(out)):
        # Beside parts of the same matrix it is this call's own, from a run that was killed at its very end.
        if path.exists() and not parts.folder.exists():
            raise InputError("exists; recordings are never changed", where=str(path), hint="choose another name")
    parts.refuse_others()
    missing = parts.missing()
    if missing:
        # Before the folder is made: one that holds nothing would stand in the way of the next call's arguments.
        machine.refuse_if_unfit(machine.check(engine, source))
    parts.claim()
    if missing:
        with stop_on_sigterm(), open_lab(engine, chosen, source, say, site) as lab:
            say(f"recording {len(matrix)} deployments at {site.name}, {parallel} at once")

            def start(deployment: Deployment, place: int) -> RunningDeployment:
                machine.refuse_if_full(parts.folder, machine.ENGINE_FOLDER)
                return lab.start(deployment, place)

            left_s = None if budget_s is None else budget_s - (time.monotonic() - begin_s)
            recorder.record(parts, start=start, parallel=parallel, progress=progress, budget_s=left_s)
    finished = parts.finished()
    if not finished:
        if parts.missing():
            raise PodlabError("no deployment was finished in time", hint="give more time, and repeat the call")
        raise PodlabError("every deployment died", where=str(parts.folder), hint="its *.died-*.json tell the reasons")
    say("joining the parts")
    how = RecordingConditions(plan=plan, parallel=parallel, images=source, machine=machine.describe(engine), note=note)
    versions: dict[str, str] = {}
    summaries = [_write(role, path, parts, how, versions) for role, path in outs.items() if _of_role(finished, role)]
    deaths = Counter(died.deployment.name for died in parts.died())
    with atomic_file(draws_file(out)) as temporary:
        draws_table(matrix, versions, deaths, parts.reports()).to_csv(temporary, index=False)
    shutil.rmtree(parts.folder)
    return summaries


def role_file(out: Path, role: str) -> Path:
    """Name the file that a role's deployments go to."""
    return out if role == "known" else out.with_stem(f"{out.stem}-{role}")


def outputs_of(out: Path) -> list[Path]:
    """List every file that a recording may make."""
    recordings = [role_file(out, role) for role in ROLES]
    return [*recordings, *(path.with_suffix(".md") for path in recordings)]


def _choose(
    services: list[catalogue.Service], names: Sequence[str] | None, plan: RecordingPlan
) -> list[catalogue.Service]:
    chosen = catalogue.select(services, names)
    if names or not plan.unknown:
        return chosen
    return chosen + [service for service in services if service.unknown]


def _of_role(finished: Mapping[Deployment, Path], role: str) -> list[Path]:
    return [path for deployment, path in finished.items() if deployment.role == role]


def _write(role: str, out: Path, parts: Parts, how: RecordingConditions, versions: dict[str, str]) -> Summary:
    """Join one role's parts into its recording, write its card, and note its deployments' versions."""
    samples = read_recording(_of_role(parts.finished(), role))
    joined = parts.folder / f"{role}.joined.parquet"
    # Whatever the file is called later: what was recorded for tests is not trained on by mistake.
    write_recording(samples if role == "known" else samples.assign(role=role), joined)
    facts = RecordingFacts(
        file=out,
        sha256=sha256_of(joined),
        size_bytes=joined.stat().st_size,
        matrix=[deployment for deployment in parts.matrix if deployment.role == role],
        how=how,
        died=[died for died in parts.died() if died.deployment.role == role],
        reports=parts.reports(),
    )
    card = out.with_suffix(".md")
    with atomic_file(card) as temporary:
        temporary.write_text(write_card(samples, facts))
    # Last: where the recording is, it is whole and has its card.
    joined.replace(out)
    versions.update(samples.groupby("deployment")["version"].first())
    not_started = sum(deployment.role == role for deployment in parts.missing())
    gaps = gaps_s(samples)
    deployments = int(samples["deployment"].nunique())
    return Summary(
        recording=out,
        card=card,
        role=role,
        services=int(samples["service"].nunique()),
        deployments=deployments,
        dropped=len(facts.matrix) - deployments - not_started,
        not_started=not_started,
        rows=len(samples),
        size_bytes=facts.size_bytes,
        gap_p50_s=float(np.percentile(gaps, 50)),
        gap_p99_s=float(np.percentile(gaps, 99)),
        gap_max_s=float(gaps.max()),
    )


@contextlib.contextmanager
def open_lab(
    engine: str,
    services: list[catalogue.Service],
    images: ImageSource = "debian",
    say: Callable[[str], None] = _say_nothing,
    site: Site = SITES[DEFAULT_SITE],
) -> Iterator[Lab]:
    """Make images and a network, and remove whatever was made (but the images) at the end.

    Parameters
    ----------
    engine : {"podman", "docker"}
        The container engine.
    services : list of Service
        What may be started.
    images : {"debian", "registry"}
        Where images come from.
    say : callable
        Told what is going on, one line each.
    site : Site
        What the machine shall look like.

    Yields
    ------
    Lab
        Ready to start deployments.

    Raises
    ------
    InputError
        If another lab runs on this machine.
    """
    runtime = Runtime(engine)
    with _only_lab_here() as folder:
        failed = provide_images(runtime, services, images, say, [site.release], site.extra_packages)
        # A run that was killed outright could not clean up.
        _remove_everything(runtime, folder)
        try:
            # From the range that RFC 2544 keeps for labs: no real network is hidden by it.
            name, subnet = f"podlab-{secrets.token_hex(4)}", f"198.18.{secrets.randbelow(256)}.0/24"
            runtime.make_network(name, subnet, site.mtu)
            lab = Lab(runtime, services, images, name, subnet, folder, site)
            say("asking the services' versions")
            lab.prepare(failed)
            with _neighbour_of(site):
                yield lab
        finally:
            _remove_everything(runtime, folder)


def _neighbour_of(site: Site) -> contextlib.AbstractContextManager[object]:
    if not site.neighbour_cores:
        return contextlib.nullcontext()
    return BusyNeighbour(site.neighbour_cores, site.neighbour_burst_s, site.neighbour_pause_s)


def down(engine: str = "podman") -> dict[str, int]:
    """Remove every container, volume, network and file the lab ever made; images stay.

    Parameters
    ----------
    engine : {"podman", "docker"}
        The container engine.

    Returns
    -------
    dict of str to int
        How many ``containers``, ``volumes`` and ``networks`` were removed.

    Raises
    ------
    InputError
        If a lab is running: stop it, and it removes everything itself.
    """
    with _only_lab_here() as folder:
        return _remove_everything(Runtime(engine), folder)


def _remove_everything(runtime: Runtime, folder: Path) -> dict[str, int]:
    shutil.rmtree(folder, ignore_errors=True)
    return runtime.remove_everything()


@contextlib.contextmanager
def _only_lab_here() -> Iterator[Path]:
    """Hold the machine's lab lock, and give the folder for the services' files.

    Two labs would remove each other's containers. The lock falls with the process that holds it.
    """
    try:
        RUN_FOLDER.mkdir(parents=True, exist_ok=True)
        lock = (RUN_FOLDER / "lock").open("w")
    except PermissionError:
        raise InputError("only root can run the lab", hint="run it as root") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("another lab is running on this machine", hint="wait for it or stop it") from None
        yield RUN_FOLDER / "files"
