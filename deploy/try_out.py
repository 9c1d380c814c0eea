"""The same hub to try out, without accounts: one password for all, all servers are your own.

Never let anybody else reach it: whoever knows a login is that user, and every server may read every
file of yours. ``COURSE_STUDENTS=students.txt jupyterhub -f deploy/try_out.py``, then
http://127.0.0.1:8000; the password is ``try``. Homes and all else lie in COURSE_STATE.
"""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATE = Path(os.environ.setdefault("COURSE_STATE", str(HERE.parent / ".stamps/hub"))).absolute()
os.environ.setdefault("COURSE_EXCHANGE", str(STATE / "exchange"))

c = get_config()  # noqa: F821
load_subconfig(str(HERE / "jupyterhub_config.py"))  # noqa: F821

c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "try"
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(STATE / "homes/{username}")
if os.geteuid() == 0:
    c.Spawner.args = ["--allow-root"]
