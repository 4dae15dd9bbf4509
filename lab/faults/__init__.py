"""Faults: what may go wrong with a service, begun and ended on purpose so that the time of it is known.

A fault acts in three places: inside the service's container (``worker.pl``, by the perl that every Debian image
has), from a container of the load client's image (:mod:`lab.client.fault_client`), or on the container from
the host (packet loss, limits, the neighbour's CPU, the kill). Normal events that look like a fault, such as a backup
or a burst, are begun and ended in the same ways. What a fault starts is found again by a marker in its command
line, so that it can be ended twice, or after the service crashed. Nothing acts outside the deployment's own
containers and network namespace, but for the neighbour, which takes disk and CPU time of the machine as neighbours do.
"""

from lab.faults.kinds import KINDS, applicable, begin, end, is_fault, seconds_range
from lab.faults.target import FaultTarget

__all__ = ["KINDS", "FaultTarget", "applicable", "begin", "end", "is_fault", "seconds_range"]
