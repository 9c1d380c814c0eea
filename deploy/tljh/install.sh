#!/bin/sh
# The course on The Littlest JupyterHub 2. Install that first, put this project into /srv/cnnbook,
# and run there, as root: deploy/tljh/install.sh TEACHER
# On a machine without a GPU, first install the CPU builds of torch and torchvision with
# /opt/tljh/user/bin/pip, as the project's README.md says.
set -eu
teacher=${1:?usage: install.sh TEACHER, the login of the one who teaches}
cd /srv/cnnbook
chmod -R o= coursework # it holds the solutions and the hidden tests

apt-get install -y bubblewrap
# The hub's version of jupyterhub stays.
grep -v '^jupyterhub==' constraints.txt > /opt/tljh/state/cnnbook-constraints.txt
/opt/tljh/user/bin/pip install -c /opt/tljh/state/cnnbook-constraints.txt \
	$(grep -oE '^(torch|torchvision|jupyterlab|nbgrader)==[^ ]+' requirements.txt) .

install -d -m 0777 /srv/nbgrader/exchange
install -d /opt/tljh/config/jupyterhub_config.d
install -m 0644 deploy/tljh/cnnbook.py /opt/tljh/config/jupyterhub_config.d/
tljh-config add-item users.admin "$teacher"
tljh-config set user_environment.default_app jupyterlab
tljh-config set limits.memory 2G
tljh-config set limits.cpu 1
tljh-config reload

echo "When $teacher has logged in once:"
echo "  cp -r coursework /home/jupyter-$teacher/cnnbook"
echo "  chown -R jupyter-$teacher: /home/jupyter-$teacher/cnnbook"
echo "  chmod -R go= /home/jupyter-$teacher/cnnbook"
