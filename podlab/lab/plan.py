"""What a recording shall hold: every service crossed with every load pattern and every configuration.

Crossing all three keeps a pattern or a configuration from standing for a service.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from podlab.errors import InputError
from podlab.lab import faults
from podlab.lab.matrix import Deployment, PlannedFault, draw_one
from podlab.lab.service import PATTERNS, RELEASES, Service

#: A deployment with faults holds so many, one after the other, each in its own part of the life that is left after
#: the first part, which stays normal.
_FAULTS_EACH = 2
_NORMAL_BEGIN_S = 150.0
_FAULT_SECONDS = (40.0, 90.0)
#: A service that was killed is back after seconds: a longer interval would call a healthy one faulty.
_CRASH_SECONDS = (10.0, 15.0)
#: Faults end so long before the recording, or before the next part.
_REST_S = 20.0
MIN_FAULT_SECONDS = int(_NORMAL_BEGIN_S + _FAULTS_EACH * (_FAULT_SECONDS[1] + 2 * _REST_S))


@dataclass(frozen=True)
class Plan:
    """How much of everything a recording shall hold.

    Attributes
    ----------
    patterns : sequence of str
        Load patterns, from :data:`podlab.lab.service.PATTERNS`.
    replicates : int
        Deployments of each service under each pattern in each configuration; 0 where only others are wanted.
    seed : int
        The same services, plan and seed give the same matrix.
    seconds : int
        How long each deployment is sampled.
    long_lives, long_seconds : int
        So many of each service's deployments are sampled so long instead.
    unknown : int
        Deployments of each service that is kept unknown.
    faults, fault_seconds : int
        Deployments with faults in all, and how long each is sampled.
    releases : sequence of str
        Debian releases the images are made from, from :data:`podlab.lab.service.RELEASES`; each service's
        deployments take turns among those that have it.
    """

    patterns: Sequence[str] = PATTERNS
    replicates: int = 1
    seed: int = 0
    seconds: int = 180
    long_lives: int = 0
    long_seconds: int = 660
    unknown: int = 0
    faults: int = 0
    fault_seconds: int = 480
    releases: Sequence[str] = RELEASES[:1]


def draw(services: Sequence[Service], plan: Plan) -> list[Deployment]:
    """Draw the deployments of a recording, in the order of their starts.

    The order is a randomised block design: each block holds one deployment of every service in random order, and
    each service's variants are spread over the blocks at random. So neighbours in time are different services, and
    time stands for none. Deployments of unknown services and those with faults are strewn among the others.

    Parameters
    ----------
    services : sequence of Service
        From the catalogue. Those kept unknown are crossed like the others if the plan asks for no ``unknown``.
    plan : Plan
        How much of what.

    Raises
    ------
    InputError
        If there is nothing to draw, or a pattern or release is unknown.
    """
    _check(services, plan)
    chance = random.Random(plan.seed)
    crossed = [service for service in services if not (service.unknown and plan.unknown)]
    columns = [_column(service, plan, chance) for service in crossed]
    order: list[Deployment] = []
    for block in range(max((len(column) for column in columns), default=0)):
        neighbours = [column[block] for column in columns if block < len(column)]
        chance.shuffle(neighbours)
        order += neighbours
    strewn = [
        deployment
        for service in services
        if service.unknown and plan.unknown
        for deployment in _some(service, plan, chance)
    ]
    if plan.faults:
        strewn += _faulty(crossed, plan, chance)
    for deployment in strewn:
        # A long one at the very end would leave the machine nearly empty around it.
        last = len(order) if deployment.seconds <= plan.seconds else int(0.85 * len(order))
        order.insert(chance.randint(0, last), deployment)
    return order


def _check(services: Sequence[Service], plan: Plan) -> None:
    anything = plan.replicates > 0 or plan.unknown > 0 or plan.faults > 0
    if not services or not plan.patterns or plan.replicates < 0 or not plan.releases or not anything:
        raise InputError("the matrix is empty", todo="give at least one service, one pattern and one replicate")
    for what, chosen, known in (
        ("load pattern", plan.patterns, PATTERNS),
        ("Debian release", plan.releases, RELEASES),
    ):
        for value in chosen:
            if value not in known:
                raise InputError(f"{what} {value!r} is unknown", todo=f"known are {', '.join(known)}")


def _column(service: Service, plan: Plan, chance: random.Random) -> list[Deployment]:
    """One service's deployments in random order, some of them with a long life."""
    variants = _variants(service, plan, "known", plan.seconds, chance)
    early = range(max(1, int(0.85 * len(variants))))
    for index in chance.sample(early, min(plan.long_lives, len(early))):
        variants[index] = replace(variants[index], seconds=plan.long_seconds)
    return variants


def _variants(service: Service, plan: Plan, role: str, seconds: int, chance: random.Random) -> list[Deployment]:
    """Every pattern in every configuration, so often as the plan says; in random order."""
    patterns = [pattern for pattern in plan.patterns if pattern in service.patterns] or list(service.patterns)
    releases = service.releases_among(plan.releases)
    variants = [
        # Releases take turns along all three, so that none stands for a pattern or a configuration.
        draw_one(
            service, configuration.name, pattern, releases[sum(turn) % len(releases)], role, seconds, turn[0], chance
        )
        for c, configuration in enumerate(service.configurations)
        for p, pattern in enumerate(patterns)
        for turn in ((replicate, c, p) for replicate in range(plan.replicates))
    ]
    chance.shuffle(variants)
    return variants


def _some(service: Service, plan: Plan, chance: random.Random) -> list[Deployment]:
    """So many deployments of an unknown service as the plan says, each pattern as often as the others."""
    cells = len(service.configurations) * len([p for p in service.patterns if p in plan.patterns] or service.patterns)
    enough = replace(plan, replicates=-(-plan.unknown // cells))
    seen: Counter[str] = Counter()
    ranked = []
    for index, deployment in enumerate(_variants(service, enough, "unknown", plan.seconds, chance)):
        seen[deployment.pattern] += 1
        ranked.append((seen[deployment.pattern], index, deployment))
    return [deployment for _, _, deployment in sorted(ranked, key=lambda entry: entry[:2])[: plan.unknown]]


def _faulty(services: Sequence[Service], plan: Plan, chance: random.Random) -> list[Deployment]:
    """Deployments with faults: services, patterns and kinds take turns, so that none stands for another."""
    if plan.fault_seconds < MIN_FAULT_SECONDS:
        raise InputError(f"fault seconds are {plan.fault_seconds}, at least {MIN_FAULT_SECONDS} are needed")
    kinds = {service.name: faults.applicable(service) for service in services}
    # Every service has two configurations at least: so many replicates are always enough.
    enough = replace(plan, replicates=plan.faults // 2 + 1)
    columns = {
        service.name: _variants(service, enough, "faults", plan.fault_seconds, chance)
        for service in services
        if kinds[service.name]
    }
    if not columns:
        raise InputError("no fault is known for these services", todo="choose others")
    used: Counter[str] = Counter()
    deployments = []
    names = sorted(columns)
    for number in range(plan.faults):
        if number % len(names) == 0:
            chance.shuffle(names)
        name = names[number % len(names)]
        turn = number // len(names)
        deployment = columns[name][turn]
        chosen = _rarest(kinds[name], used, chance)
        used.update(chosen)
        deployments.append(replace(deployment, faults=_timed(chosen, plan.fault_seconds, chance)))
    return deployments


def _rarest(kinds: Sequence[str], used: Counter[str], chance: random.Random) -> list[str]:
    """Choose different kinds, those that were used least so far."""
    ranked = sorted(kinds, key=lambda kind: (used[kind], chance.random()))
    return ranked[:_FAULTS_EACH]


def _timed(kinds: Sequence[str], seconds: int, chance: random.Random) -> tuple[PlannedFault, ...]:
    """Give each fault a place in its own part of the life, so that they never overlap."""
    part_s = (seconds - _NORMAL_BEGIN_S) / len(kinds)
    planned = []
    for index, kind in enumerate(chance.sample(list(kinds), len(kinds))):
        length_s = chance.uniform(*(_CRASH_SECONDS if kind == "crash" else _FAULT_SECONDS))
        begin_s = _NORMAL_BEGIN_S + index * part_s + chance.uniform(0.0, part_s - length_s - _REST_S)
        planned.append(PlannedFault(kind, round(begin_s, 1), round(length_s, 1), round(chance.random(), 2)))
    return tuple(planned)
