"""What an encoder of any shape costs on a device: measured on probe models, stored, and asked.

``plan`` says which probes there are, ``probes`` writes them (the workstation's half), ``timing`` times them
where they are (the device's half), ``fitting`` makes a ``table`` of the times. ``measuring`` does all of it
and keeps the tables; ``remote`` has another machine do the timing.
"""
