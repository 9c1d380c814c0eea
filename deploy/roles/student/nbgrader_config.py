"""nbgrader on a student's server: where assignments come from, and in whose name they go back."""

import os

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "cnnbook"
c.Exchange.root = os.environ["COURSE_EXCHANGE"]
c.CourseDirectory.student_id = os.environ["COURSE_STUDENT"]
