"""The course on The Littlest JupyterHub: its admins teach, all others are students.

``install.sh`` puts this into /opt/tljh/config/jupyterhub_config.d.
"""

import os

from tljh.configurer import load_config

os.environ["COURSE_TEACHERS"] = ",".join(load_config()["users"]["admin"])
os.environ["COURSE_ACCOUNT"] = "jupyter-{username}"  # what accounts are called there
load_subconfig("/srv/cnnbook/deploy/course.py")  # noqa: F821
