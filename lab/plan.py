"""What a recording shall hold: every service in every profile, under every load pattern, at one site.

Both go in turns of their own, so that no pattern and no profile stands for a service, or for each other.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lab import faults
from lab.knobs import Cell
from lab.matrix import Deployment, PlannedFault, draw_one
from lab.service import PATTERNS, Service
from lab.sites import DEFAULT_SITE, SITES, find_site
from podlab.data.draws import Role
from podlab.errors import InputError

#: A deployment with faults has one for so much of its life, and the rest of it is normal.
_SECONDS_PER_FAULT = 240.0
#: No fault begins earlier.
_FIRST_BEGIN_S = 20.0
#: Between a fault's end and the next one's begin, so that each can be compared with the minute before it.
_REST_S = 60.0
#: From the last fault's end to the recording's.
_LAST_REST_S = 20.0
MIN_FAULT_SECONDS = 240
#: Every third of the deployments with faults lives long.
_LONG_FAULTS_EVERY = 3
#: Every tenth deployment of a service lives long, unless the plan says otherwise.
_LONG_LIVES_EVERY = 10
#: Long lives begin in this part of the recording: at its very end the machine would be nearly empty around them.
_EARLY = 0.85


@dataclass(frozen=True)
class RecordingPlan:
    """How much of everything a recording shall hold.

    Attributes
    ----------
    patterns : sequence of str
        Load patterns, from :data:`lab.service.PATTERNS`.
    per_service : int
        Deployments of each known service; 0 where only others are wanted.
    seed : int
        The same services, plan and seed give the same matrix.
    seconds : int
        How long each deployment is sampled at least; up to a fifth of it more is drawn.
    long_lives : int, optional
        So many of each service's deployments are sampled longer; by default one in ten.
    long_seconds : int
        How long those are, and every third with faults or normal events.
    unknown : int
        Deployments of each service that is kept unknown.
    faults, normal : int
        Deployments with faults in all, and with events that look like faults and are none.
    fault_seconds : int
        How long each of these two is sampled.
    site : str
        One of :data:`lab.sites.SITES`.
    """

    patterns: Sequence[str] = PATTERNS
    per_service: int = 5
    seed: int = 0
    seconds: int = 200
    long_lives: int | None = None
    long_seconds: int = 1200
    unknown: int = 0
    faults: int = 0
    normal: int = 0
    fault_seconds: int = 480
    site: str = DEFAULT_SITE


def draw(services: Sequence[Service], plan: RecordingPlan) -> list[Deployment]:
    """Draw the deployments of a recording, in the order of their starts.

    The order is a randomised block design: each block holds one deployment of every service in random order. So
    neighbours in time are different services, and time stands for none. Deployments of unknown services and those
    with faults or normal events are strewn among the others.

    What is drawn for a service does not depend on which others are recorded.

    Parameters
    ----------
    services : sequence of Service
        From the catalogue. Those kept unknown are drawn like the others if the plan asks for no ``unknown``.
    plan : RecordingPlan
        How much of what.

    Raises
    ------
    InputError
        If there is nothing to draw, or a pattern or the site is unknown.
    """
    _check(services, plan)
    chance = random.Random(f"{plan.seed}/{plan.site}/order")
    crossed = [service for service in services if not (service.unknown and plan.unknown)]
    columns = [_known(service, plan) for service in crossed]
    order: list[Deployment] = []
    for block in range(max((len(column) for column in columns), default=0)):
        neighbours = [column[block] for column in columns if block < len(column)]
        chance.shuffle(neighbours)
        order += neighbours
    strewn = [
        deployment
        for service in services
        if service.unknown and plan.unknown
        for deployment in itertools.islice(_endless(service, plan, "unknown", plan.seconds), plan.unknown)
    ]
    strewn += _with_events(crossed, plan, "faults", plan.faults)
    strewn += _with_events(crossed, plan, "normal", plan.normal)
    for deployment in sorted(strewn, key=lambda each: each.name):
        last = len(order) if deployment.seconds <= 2 * plan.seconds else int(_EARLY * len(order))
        order.insert(chance.randint(0, last), deployment)
    return order


def _check(services: Sequence[Service], plan: RecordingPlan) -> None:
    anything = plan.per_service > 0 or plan.unknown > 0 or plan.faults > 0 or plan.normal > 0
    if not services or not plan.patterns or plan.per_service < 0 or not anything:
        raise InputError("the matrix is empty", hint="give at least one service, one pattern and one deployment")
    for pattern in plan.patterns:
        if pattern not in PATTERNS:
            raise InputError(f"load pattern {pattern!r} is unknown", hint=f"known are {', '.join(PATTERNS)}")
    find_site(plan.site)
    if (plan.faults or plan.normal) and plan.fault_seconds < MIN_FAULT_SECONDS:
        raise InputError(f"fault seconds are {plan.fault_seconds}, at least {MIN_FAULT_SECONDS} are needed")


def _known(service: Service, plan: RecordingPlan) -> list[Deployment]:
    """One service's deployments without any events, some of them with a long life."""
    count = plan.per_service
    chance = random.Random(f"{plan.seed}/{plan.site}/{service.name}/lives")
    early = range(max(1, int(_EARLY * count)))
    wanted = count // _LONG_LIVES_EVERY if plan.long_lives is None else plan.long_lives
    long = set(chance.sample(early, min(wanted, len(early))))
    drawn = itertools.islice(_endless(service, plan, "known", plan.seconds), count)
    return [replace(each, seconds=plan.long_seconds) if index in long else each for index, each in enumerate(drawn)]


def _endless(service: Service, plan: RecordingPlan, role: Role, seconds: int) -> Iterator[Deployment]:
    """Draw one deployment of a service after the other: its profiles take turns, and so do its patterns."""
    release = service.releases_among([find_site(plan.site).release])[0]
    patterns = [pattern for pattern in plan.patterns if pattern in service.patterns] or list(service.patterns)
    if role in ("faults", "normal"):
        # What happens to an idle service is felt by nobody.
        patterns = [pattern for pattern in patterns if pattern != "idle"] or patterns
    turns = zip(_profiles_in_turn(service, plan, role), _patterns_in_turn(service, plan, role, patterns), strict=True)
    for index, (profile, pattern) in enumerate(turns):
        chance = random.Random(f"{plan.seed}/{plan.site}/{service.name}/{role}/{index}")
        yield draw_one(
            service, site=plan.site, release=release, role=role, pattern=pattern, profile=profile, seconds=seconds,
            chance=chance,
        )  # fmt: skip


def _profiles_in_turn(service: Service, plan: RecordingPlan, role: Role) -> Iterator[dict[str, Cell]]:
    """Go through a service's profiles, over and over; the next site goes on where this one ends."""
    profiles = service.profiles()
    random.Random(f"{plan.seed}/{service.name}/{role}/profiles").shuffle(profiles)
    each = plan.unknown if role == "unknown" else plan.per_service
    begin = list(SITES).index(plan.site) * each
    for index in itertools.count(begin):
        yield profiles[index % len(profiles)]


def _patterns_in_turn(service: Service, plan: RecordingPlan, role: Role, patterns: list[str]) -> Iterator[str]:
    """Go through all patterns in random order, then again in another."""
    chance = random.Random(f"{plan.seed}/{plan.site}/{service.name}/{role}/patterns")
    while True:
        yield from chance.sample(patterns, len(patterns))


def _with_events(services: Sequence[Service], plan: RecordingPlan, role: Role, count: int) -> list[Deployment]:
    """Deployments with faults or normal events: services and kinds take turns, so that none stands for another."""
    if not count:
        return []
    chance = random.Random(f"{plan.seed}/{plan.site}/{role}")
    kinds = {service.name: faults.applicable(service, faults=role == "faults") for service in services}
    columns = {
        service.name: _endless(service, plan, role, plan.fault_seconds) for service in services if kinds[service.name]
    }
    if not columns:
        what = "fault" if role == "faults" else "normal event"
        raise InputError(f"no {what} is known for these services", hint="choose others")
    used: Counter[str] = Counter()
    deployments = []
    names = sorted(columns)
    for number in range(count):
        if number % len(names) == 0:
            chance.shuffle(names)
        deployment = next(columns[names[number % len(names)]])
        if number % _LONG_FAULTS_EVERY == _LONG_FAULTS_EVERY - 1:
            deployment = replace(deployment, seconds=max(plan.long_seconds, plan.fault_seconds))
        wanted = max(1, round(deployment.seconds / _SECONDS_PER_FAULT))
        chosen = _rarest(kinds[deployment.service], wanted, used, chance)
        used.update(chosen)
        deployments.append(replace(deployment, faults=_timed(chosen, deployment.seconds, chance)))
    return deployments


def _rarest(kinds: Sequence[str], wanted: int, used: Counter[str], chance: random.Random) -> list[str]:
    """Choose different kinds, those that were used least so far."""
    ranked = sorted(kinds, key=lambda kind: (used[kind], chance.random()))
    return ranked[:wanted]


def _timed(kinds: Sequence[str], seconds: int, chance: random.Random) -> tuple[PlannedFault, ...]:
    """Give each event a place of its own, anywhere in the life; those for which there is no room are left out."""
    most_s = seconds - _FIRST_BEGIN_S - _LAST_REST_S
    lengths = [
        (kind, min(most_s, chance.uniform(*faults.seconds_range(kind))))
        for kind in chance.sample(list(kinds), len(kinds))
    ]
    while (free_s := most_s - _REST_S * (len(lengths) - 1) - sum(length_s for _, length_s in lengths)) < 0:
        lengths.pop()
    waits = sorted(chance.uniform(0.0, free_s) for _ in lengths)
    planned = []
    begin_s = _FIRST_BEGIN_S
    for index, (kind, length_s) in enumerate(lengths):
        wait_s = waits[index] - (waits[index - 1] if index else 0.0)
        begin_s += wait_s
        planned.append(PlannedFault(kind, round(begin_s, 1), round(length_s, 1), round(chance.random(), 2)))
        begin_s += length_s + _REST_S
    return tuple(planned)
