"""Looks for an oracle on the network."""

# %% attack
import socket

for host in ("127.0.0.1", "192.0.2.1", "localhost", "example.org"):
    for port in (22, 53, 80, 443, 8000, 8888):
        try:
            socket.create_connection((host, port), timeout=0.2)
            print("REACHED", host, port)
        except OSError:
            pass
