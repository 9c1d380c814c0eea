"""JupyterHub for this course on one machine, where every user has an account.

As root: ``COURSE_STUDENTS=/etc/cnnbook/students.txt jupyterhub -f deploy/jupyterhub_config.py``.
JupyterHub's own defaults hold for the rest: PAM asks for the password of the account, and
LocalProcessSpawner starts the server as its user. Choose others in a file of your own that begins
with ``load_subconfig("/srv/cnnbook/deploy/jupyterhub_config.py")``, as ``try_out.py`` does.

COURSE_STUDENTS  a file with the login of one student a line
COURSE_STATE     a folder that only the hub's user may enter: database, cookie secret
and those of ``course.py``.
"""

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATE = Path(os.environ.get("COURSE_STATE", "/srv/cnnbook-hub")).absolute()
STUDENTS = Path(os.environ.get("COURSE_STUDENTS", "/etc/cnnbook/students.txt"))
os.environ.setdefault("COURSE_ROLES", str(HERE / "roles"))
os.environ.setdefault("COURSE_TEACHERS", "teacher")
os.environ.setdefault("COURSE_EXCHANGE", "/srv/nbgrader/exchange")

c = get_config()  # noqa: F821
load_subconfig(str(HERE / "course.py"))  # noqa: F821

# Everybody writes into the exchange; nbgrader sets the rights of what lies inside.
exchange = Path(os.environ["COURSE_EXCHANGE"])
exchange.mkdir(parents=True, exist_ok=True)
exchange.chmod(0o777)
STATE.mkdir(parents=True, exist_ok=True)
STATE.chmod(0o700)

students = {line.strip() for line in STUDENTS.read_text(encoding="utf-8").splitlines()}
teachers = set(os.environ["COURSE_TEACHERS"].split(","))
c.Authenticator.allowed_users = (students | teachers) - {""}

c.JupyterHub.bind_url = "http://127.0.0.1:8000"  # put a web server with https before it
c.JupyterHub.db_url = f"sqlite:///{STATE}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = str(STATE / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(STATE / "proxy.pid")
c.ConfigurableHTTPProxy.command = [
    shutil.which("configurable-http-proxy")
    or str(HERE.parent / ".stamps/proxy/node_modules/.bin/configurable-http-proxy")
]
BIN = Path(sys.executable).parent  # nbgrader looks for alembic on the path
os.environ["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
c.Spawner.cmd = [str(BIN / "jupyterhub-singleuser")]
c.Spawner.notebook_dir = "~"
c.Spawner.start_timeout = 180
