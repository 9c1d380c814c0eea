"""nbgrader on a teacher's server: the course's folder, and the course's own configuration."""

import os
from pathlib import Path

ROOT = Path.home() / "cnnbook"  # a copy of coursework/

c = get_config()  # noqa: F821
if (ROOT / "nbgrader_config.py").exists():
    load_subconfig(str(ROOT / "nbgrader_config.py"))  # noqa: F821
c.CourseDirectory.root = str(ROOT)
c.CourseDirectory.course_id = "cnnbook"
c.Exchange.root = os.environ["COURSE_EXCHANGE"]
