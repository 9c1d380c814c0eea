"""What every hub of this course needs, whatever starts its servers: a role for each user.

Read by ``jupyterhub_config.py`` here, by ``tljh/cnnbook.py`` and by the chart for Kubernetes, with
``c``, the configuration, at hand. What differs between them comes from the environment of the hub:

COURSE_TEACHERS  logins with the formgrader and the course's folder, with commas between them
COURSE_ROLES     the folder ``roles``, where users' servers find it
COURSE_EXCHANGE  the exchange, likewise
COURSE_ACCOUNT   a user's name in the gradebook, and on the machine if users have accounts there
"""

import os

TEACHERS = set(filter(None, os.environ.get("COURSE_TEACHERS", "teacher").split(",")))
ROLES = os.environ.get("COURSE_ROLES", "/srv/cnnbook/deploy/roles")
EXCHANGE = os.environ.get("COURSE_EXCHANGE", "/srv/nbgrader/exchange")
ACCOUNT = os.environ.get("COURSE_ACCOUNT", "{username}")


def prepare(spawner):
    """Tell a user's server which role it plays, just before it starts."""
    teaches = spawner.user.name in TEACHERS
    spawner.environment = {
        **spawner.environment,
        "JUPYTER_CONFIG_PATH": f"{ROLES}/{'teacher' if teaches else 'student'}",
        "COURSE_EXCHANGE": EXCHANGE,
        # Two threads in one process were slower, and users share the cores.
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    if not teaches:
        spawner.environment["COURSE_STUDENT"] = ACCOUNT.format(username=spawner.user.name)


c.Spawner.pre_spawn_hook = prepare  # noqa: F821
c.Spawner.default_url = "/lab"  # noqa: F821
c.Spawner.http_timeout = 180  # noqa: F821  # seconds; a class logs in all at once
