"""The lab: real services under real load in real containers, and the recorder of their samples.

:func:`lab.session.record_lab` makes a recording with its data card, :func:`lab.session.down` removes what
a killed run left, :func:`lab.machine.check` tells what the machine lacks, and :func:`lab.selftest.run`
compares the recorder's columns with known work. A service is one TOML file in ``services/``.
"""
